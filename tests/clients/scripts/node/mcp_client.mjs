// The official SDK of MCP for TypeScript against /mcp, with STACK_URL and STACK_KEY; the failures' texts as JSON on the last line.

import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const within = async (scene, key = process.env.STACK_KEY) => {
  const requestInit = { headers: { authorization: `Bearer ${key}` } };
  const transport = new StreamableHTTPClientTransport(new URL(`${process.env.STACK_URL}/mcp`), { requestInit });
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  try {
    await scene(client);
  } finally {
    await client.close();
  }
};

const scenarios = {
  listsTheToolsOfItsGroupAlone: () =>
    within(async (client) => {
      const names = (await client.listTools()).tools.map((tool) => tool.name);
      assert(names.includes("test_simple_text"), names);
      assert(!names.includes("only_for_others"), names);
    }),
  callsTools: () =>
    within(async (client) => {
      const result = await client.callTool({ name: "test_simple_text", arguments: {} });
      assert.equal(result.content[0].text, "This is a simple text response for testing.");
      const failed = await client.callTool({ name: "test_error_handling", arguments: {} });
      assert.equal(failed.isError, true);
    }),
  getsAnErrorForWhatIsAnothers: () =>
    within((client) => assert.rejects(client.callTool({ name: "only_for_others", arguments: {} }), /Unknown tool/)),
  isToldThatATokenIsWrong: () => assert.rejects(within(() => {}, "nothing"), /The API key is not valid/),
};

const failures = {};
for (const [name, scenario] of Object.entries(scenarios)) {
  try {
    await scenario();
    failures[name] = null;
  } catch (error) {
    failures[name] = error.stack;
  }
}
console.log(JSON.stringify(failures));
process.exit(0);
