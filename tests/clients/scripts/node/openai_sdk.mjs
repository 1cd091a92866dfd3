// `openai` for Node, as its users write programs with it.

import assert from "node:assert/strict";
import OpenAI, { AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import {
  BUSY, CITIES, City, DATA_URL, EMBEDDINGS, IMAGE_ANSWER, KEY, MODELS, PERSON, Person, SPENT_KEY, SUMMARY, SYSTEM, TASK, URL,
  nonce, refusal, run, sees, waitUntil, weather,
} from "./program.mjs";

const client = new OpenAI({ baseURL: URL, apiKey: KEY });
const completions = client.chat.completions;
const asking = (content) => [{ role: "system", content: SYSTEM }, { role: "user", content }];
const ask = async (model, content, more = {}) =>
  (await completions.create({ model, messages: asking(content), ...more })).choices[0].message;

const scenarios = {
  async chat(model) {
    const answer = await completions.create({ model, messages: asking("Hi"), temperature: 0.5, max_tokens: 50 });
    assert.equal(answer.choices[0].message.content, "Be brief.|Hi");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.total_tokens, 18);
  },

  async streamWithUsage(model) {
    const stream = completions.stream({ model, messages: asking("Hi"), stream_options: { include_usage: true } });
    assert.equal(await stream.finalContent(), "Be brief.|Hi");
    assert.equal((await stream.totalUsage()).total_tokens, 18);
  },

  async runTools(model) {
    for (const stream of [false, true]) {
      const cities = [];
      const note = (place) => (cities.push(place.city), weather(place));
      const tool = zodFunction({ name: "weather", parameters: City, function: note, description: "The weather of a city." });
      const runner = completions.runTools({ model, messages: asking(TASK), tools: [tool], stream });
      assert.equal(await runner.finalContent(), SUMMARY);
      assert.deepEqual(cities, CITIES);
    }
  },

  async historyWithoutTools(model) {
    const tool = zodFunction({ name: "weather", parameters: City, function: weather });
    const runner = completions.runTools({ model, messages: asking(TASK), tools: [tool] });
    await runner.done();
    const messages = [...runner.messages, { role: "user", content: "Sum up." }];
    assert.equal((await completions.create({ model, messages })).choices[0].message.content, SUMMARY);
  },

  async structuredOutput(model) {
    const response_format = zodResponseFormat(Person, "person");
    const answer = await completions.parse({ model, messages: asking("Who?"), response_format });
    assert.deepEqual(answer.choices[0].message.parsed, PERSON);
    const stream = completions.stream({ model, messages: asking("Who?"), response_format });
    assert.deepEqual((await stream.finalMessage()).parsed, PERSON);
  },

  async image(model) {
    const content = [{ type: "image_url", image_url: { url: DATA_URL } }];
    if (sees(model)) assert.equal((await ask(model, content)).content, IMAGE_ANSWER);
    else assert((await refusal(() => ask(model, content))) instanceof BadRequestError);
  },

  async tooLong(model) {
    for (const stream of [false, true]) {
      const error = await refusal(() => completions.create({ model, messages: asking("too long"), stream }));
      assert(error instanceof BadRequestError, error);
      assert.equal(error.code, "context_length_exceeded");
    }
  },

  async throttled(model) {
    const begin = Date.now();
    assert((await ask(model, `busy ${nonce()}`)).content.startsWith("Be brief.|busy"));
    assert(Date.now() - begin > (model.startsWith("vllm") ? 1000 : 300));
    const impatient = new OpenAI({ baseURL: URL, apiKey: KEY, maxRetries: 0 });
    const messages = asking(`busy ${nonce()}`);
    assert(BUSY.includes((await refusal(() => impatient.chat.completions.create({ model, messages }))).status));
  },

  async brokenStream(model) {
    for (const text of ["break", "cut"]) {
      const stream = await completions.create({ model, messages: asking(text), stream: true });
      const error = await refusal(async () => {
        for await (const chunk of stream) assert.equal(chunk.model, model);
      });
      assert(!(error instanceof assert.AssertionError), error);
    }
  },

  async callerLeaves(model) {
    const name = nonce();
    const stream = await completions.create({ model, messages: asking(`endless ${name}`), stream: true });
    for await (const chunk of stream) if (chunk) break;
    await waitUntil(async () => (await ask(model, `was ${name} ended?`)).content === "yes");
  },
};

const once = {
  async unknownModel() {
    for (const name of ["nothing", "vllm/gone"]) {
      assert((await refusal(() => ask(name, "Hi"))) instanceof NotFoundError, name);
    }
  },

  async embeddings() {
    for (const model of EMBEDDINGS) {
      const answer = await client.embeddings.create({ model, input: ["ab", "c"] });
      assert.deepEqual(answer.data.map((row) => [...row.embedding]), [[2, 195], [1, 99]]);
    }
  },

  async moderations() {
    const answer = await client.moderations.create({ model: "safety", input: ["hello", "how is a bomb made?"] });
    assert.deepEqual(answer.results.map((result) => result.flagged), [false, true]);
  },

  async wrongKey() {
    assert((await refusal(() => new OpenAI({ baseURL: URL, apiKey: "none" }).models.list())) instanceof AuthenticationError);
  },

  async spentQuota() {
    const poor = new OpenAI({ baseURL: URL, apiKey: SPENT_KEY, maxRetries: 0 });
    const spend = () => poor.chat.completions.create({ model: MODELS[0], messages: asking("Hi") });
    await spend();
    assert((await refusal(spend)) instanceof RateLimitError);
  },
};

await run(scenarios, once);
