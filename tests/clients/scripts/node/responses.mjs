// OpenAI's SDK for Node with its stream helper, and the Vercel AI SDK, over Responses: `responses.mjs URL`, and MCP_URL in the environment.

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const baseURL = `${process.argv[2]}/v1`;
const MODEL = "local/m";
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const model = createOpenAI({ baseURL, apiKey: "none" }).responses(MODEL);

const script = (...rounds) => `script: ${JSON.stringify(rounds)}`;
const call = (name, args) => ({ name, arguments: args });
const box = { type: "mcp", server_label: "box", server_url: process.env.MCP_URL, require_approval: "never" };
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const weather = { type: "function", name: "weather", parameters, strict: true };
const OSLO = { city: "Oslo" };

const streamed = async (asked) => {
  const stream = client.responses.stream({ model: MODEL, ...asked });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  return [await stream.finalResponse(), kinds];
};

const tools = {
  weather: tool({ description: "Tells the weather.", inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `rain in ${city}` }),
};

const scenarios = {
  async texts() {
    const [final, kinds] = await streamed({ input: script({ text: "Hello there", reasoning: "Hm.", summaries: ["So."] }) });
    assert.equal(final.output_text, "Hello there");
    assert(kinds.includes("response.reasoning_summary_text.delta"));
  },

  async calls() {
    const rounds = [{ text: "Look.", calls: [call("weather", OSLO), call("weather", { city: "Rome" })], interleaved: true }];
    const [final] = await streamed({ input: script(...rounds), tools: [weather] });
    assert.deepEqual(final.output.map((item) => item.type), ["message", "function_call", "function_call"]);
    assert.deepEqual(final.output[1].parsed_arguments, OSLO);
  },

  async servers() {
    const rounds = [{ calls: [call("greet", { name: "Bo" })] }, { text: "{quote}" }];
    const [final, kinds] = await streamed({ input: script(...rounds), tools: [box] });
    assert.deepEqual(final.output.map((item) => item.type), ["mcp_list_tools", "mcp_call", "message"]);
    assert(final.output_text.startsWith("Hello, Bo!"));
    assert(kinds.includes("response.mcp_call.completed"));
  },

  async vercelText() {
    const result = streamText({ model, system: "Be brief.", prompt: script({ text: "Hello there", reasoning: "Hm." }) });
    let text = "";
    for await (const piece of result.textStream) text += piece;
    assert.equal(text, "Hello there");
    assert((await result.usage).totalTokens > 0);
  },

  async vercelTools() {
    const rounds = [{ calls: [call("weather", OSLO)] }, { calls: [call("weather", { city: "Rome" })] }, { text: "{quote}" }];
    for (const store of [true, false]) {
      const { text } = await generateText({
        model, prompt: script(...rounds), tools, stopWhen: stepCountIs(5), providerOptions: { openai: { store } },
      });
      assert.equal(text, "rain in Oslo; rain in Rome");
    }
  },

  async vercelObject() {
    const schema = z.object({ name: z.string() });
    const { output } = await generateText({ model, prompt: "Who?", output: Output.object({ schema }) });
    assert.deepEqual(output, { name: "NAME" });
  },
};

const failures = {};
for (const [name, scenario] of Object.entries(scenarios)) {
  failures[name] = await scenario().then(() => null, (error) => String(error.stack));
}
console.log(JSON.stringify(failures));
