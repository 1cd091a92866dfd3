// The Vercel AI SDK, as its users write programs with it, through both of its packages for OpenAI's wire.

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, embedMany, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";
import {
  BUSY, CITIES, City, EMBEDDINGS, IMAGE, IMAGE_ANSWER, KEY, MODELS, PERSON, Person, SPENT_KEY, SUMMARY, SYSTEM, TASK, URL,
  canBeForced, nonce, refusal, run, sees, waitUntil, weather,
} from "./program.mjs";

const compatible = (more) =>
  createOpenAICompatible({
    name: "llambda", baseURL: URL, apiKey: KEY, includeUsage: true, supportsStructuredOutputs: true, ...more,
  });
const providers = {
  openai: createOpenAI({ baseURL: URL, apiKey: KEY }).chat,
  compatible: compatible({}),
};
const tools = { weather: tool({ description: "The weather of a city.", inputSchema: City, execute: async (place) => weather(place) }) };
const agent = { system: SYSTEM, prompt: TASK, tools, stopWhen: stepCountIs(5) };
const citiesOf = (steps) => steps.flatMap((step) => step.toolCalls.map((call) => call.input.city));
const silent = { onError: () => {} };

// With each provider.
const both = (name, scenario) => ({
  [name]: Object.defineProperty(async (model) => {
    for (const provider of Object.values(providers)) await scenario(provider(model), model);
  }, "name", { value: name }),
});

const scenarios = {
  ...both("chat", async (model) => {
    const { text, finishReason, usage } = await generateText({ model, system: SYSTEM, prompt: "Hi", temperature: 0.5 });
    assert.deepEqual([text, finishReason, usage.totalTokens], ["Be brief.|Hi", "stop", 18]);
  }),

  ...both("streamWithUsage", async (model) => {
    const result = streamText({ model, system: SYSTEM, prompt: "Hi" });
    let text = "";
    for await (const piece of result.textStream) text += piece;
    assert.deepEqual([text, (await result.usage).totalTokens], ["Be brief.|Hi", 18]);
  }),

  ...both("toolsInALoop", async (model) => {
    const { text, steps } = await generateText({ model, ...agent });
    assert.deepEqual([text, citiesOf(steps)], [SUMMARY, CITIES]);
  }),

  ...both("streamedToolsInALoop", async (model) => {
    const result = streamText({ model, ...agent });
    await result.consumeStream();
    assert.deepEqual([await result.text, citiesOf(await result.steps)], [SUMMARY, CITIES]);
  }),

  ...both("toolsAndAnObject", async (model) => {
    const { output, steps } = await generateText({ model, ...agent, output: Output.object({ schema: Person }) });
    assert.deepEqual([output, citiesOf(steps), steps[0].finishReason], [PERSON, CITIES, "tool-calls"]);
  }),

  ...both("choicesOfTools", async (model, name) => {
    for (const toolChoice of ["required", { type: "tool", toolName: "weather" }]) {
      const ask = () => generateText({ model, prompt: "Hi", tools, toolChoice });
      if (canBeForced(name)) assert.deepEqual((await ask()).toolCalls.map((call) => call.toolName), ["weather"]);
      else assert.equal(JSON.parse((await refusal(ask)).responseBody).error.param, "tool_choice");
    }
    assert.deepEqual((await generateText({ model, prompt: TASK, tools, toolChoice: "none" })).toolCalls, []);
  }),

  ...both("historyWithoutTools", async (model) => {
    const { response } = await generateText({ model, ...agent });
    const messages = [{ role: "user", content: TASK }, ...response.messages, { role: "user", content: "Sum up." }];
    assert.equal((await generateText({ model, messages })).text, SUMMARY);
  }),

  ...both("generateObject", async (model) => {
    assert.deepEqual((await generateObject({ model, schema: Person, prompt: "Who?" })).object, PERSON);
    assert.deepEqual((await generateText({ model, output: Output.object({ schema: Person }), prompt: "Who?" })).output, PERSON);
    const { partialObjectStream, object } = streamObject({ model, schema: Person, prompt: "Who?", ...silent });
    for await (const partial of partialObjectStream) assert.equal(typeof partial, "object");
    assert.deepEqual(await object, PERSON);
  }),

  async generateObjectInJsonMode(name) {
    const model = compatible({ supportsStructuredOutputs: false })(name);
    const prompt = `Who? Answer with JSON of this schema: ${JSON.stringify(z.toJSONSchema(Person))}`;
    assert.deepEqual((await generateObject({ model, schema: Person, prompt })).object, PERSON);
  },

  ...both("image", async (model, name) => {
    const messages = [{ role: "user", content: [{ type: "image", image: IMAGE }] }];
    if (sees(name)) assert.equal((await generateText({ model, messages })).text, IMAGE_ANSWER);
    else assert.equal((await refusal(() => generateText({ model, messages }))).statusCode, 400);
  }),

  ...both("tooLong", async (model) => {
    const error = await refusal(() => generateText({ model, prompt: "too long" }));
    assert(APICallError.isInstance(error), error);
    assert.equal(error.statusCode, 400);
    assert.equal(JSON.parse(error.responseBody).error.code, "context_length_exceeded");
  }),

  async throttled(name) {
    const begin = Date.now();
    assert((await generateText({ model: providers.compatible(name), prompt: `busy ${nonce()}` })).text.startsWith("busy"));
    assert(Date.now() - begin > 1000);
    const error = await refusal(() =>
      generateText({ model: providers.compatible(name), prompt: `busy ${nonce()}`, maxRetries: 0 }));
    assert(BUSY.includes(error.statusCode), error);
  },

  ...both("brokenStream", async (model) => {
    for (const prompt of ["break", "cut"]) {
      const parts = [];
      for await (const part of streamText({ model, prompt, ...silent }).fullStream) parts.push(part.type);
      assert(parts.includes("error"), `${prompt}: ${parts}`);
    }
  }),

  ...both("callerLeaves", async (model) => {
    const [name, abort] = [nonce(), new AbortController()];
    const { textStream } = streamText({ model, prompt: `endless ${name}`, abortSignal: abort.signal, ...silent });
    for await (const piece of textStream) if (piece) abort.abort();
    await waitUntil(async () => (await generateText({ model, prompt: `was ${name} ended?` })).text === "yes");
  }),
};

const once = {
  async unknownModel() {
    for (const name of ["nothing", "vllm/gone"]) {
      const error = await refusal(() => generateText({ model: providers.compatible(name), prompt: "Hi" }));
      assert.equal(error.statusCode, 404, error);
    }
  },

  async embeddings() {
    for (const name of EMBEDDINGS) {
      for (const embedding of [compatible({}).embeddingModel(name), createOpenAI({ baseURL: URL, apiKey: KEY }).embedding(name)]) {
        assert.deepEqual((await embedMany({ model: embedding, values: ["ab", "c"] })).embeddings, [[2, 195], [1, 99]]);
      }
    }
  },

  async wrongKey() {
    const model = compatible({ apiKey: "none" })(MODELS[0]);
    assert.equal((await refusal(() => generateText({ model, prompt: "Hi" }))).statusCode, 401);
  },

  async spentQuota() {
    const model = compatible({ apiKey: SPENT_KEY })(MODELS[0]);
    await generateText({ model, prompt: "Hi" });
    assert.equal((await refusal(() => generateText({ model, prompt: "Hi", maxRetries: 0 }))).statusCode, 429);
  },
};

await run(scenarios, once);
