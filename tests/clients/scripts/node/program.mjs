// What tests/clients/scripts/sdks/program.py is for Python: the stack, its models, and what the script of agents says.

import assert from "node:assert/strict";
import { z } from "zod";

export const URL = `${process.env.STACK_URL}/v1`;
export const KEY = process.env.STACK_KEY;
export const SPENT_KEY = process.env.STACK_SPENT_KEY;
export const MODELS = JSON.parse(process.env.STACK_MODELS);
export const EMBEDDINGS = JSON.parse(process.env.STACK_EMBEDDINGS);

export const SYSTEM = "Be brief.";
export const TASK = "Weather in Paris and Oslo, then Rome";
export const CITIES = ["Paris", "Oslo", "Rome"];
export const SUMMARY = "Summary: Paris: 20 degrees; Oslo: 11 degrees; Rome: 25 degrees";
export const IMAGE = Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), Buffer.alloc(64, 7)]);
export const IMAGE_ANSWER = `${IMAGE.length} bytes`;
export const DATA_URL = `data:image/png;base64,${IMAGE.toString("base64")}`;

export const Person = z.object({
  name: z.string(),
  age: z.number().int(),
  pets: z.array(z.object({ kind: z.enum(["cat", "dog"]) })),
});
export const PERSON = { name: "NAME", age: 7, pets: [{ kind: "cat" }, { kind: "cat" }] };
export const City = z.object({ city: z.string() });

export const BUSY = [429, 502, 503];

export const weather = ({ city }) => `${city}: ${{ Paris: 20, Oslo: 11, Rome: 25 }[city]} degrees`;
export const sees = (model) => !model.includes("llama3");
export const canBeForced = sees;
export const nonce = () => crypto.randomUUID();

// What is thrown, which must be there.
export const refusal = async (call) => {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    return error;
  }
  throw new Error(`expected an error, got ${JSON.stringify(answer)}`);
};

export const waitUntil = async (condition) => {
  const until = Date.now() + 5000;
  while (!(await condition())) {
    assert(Date.now() < until, "it has not come to pass in 5 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

// A stream that fails rejects each promise of its result, of which a scenario awaits one, or leaves them as they are.
process.on("unhandledRejection", () => {});
const late = () => new Promise((_, reject) => setTimeout(() => reject(new Error("no end within 10 s")), 10_000));

// Every scenario with every model; the failures' texts as JSON on the last line, null for a success.
export const run = async (scenarios, once) => {
  const calls = Object.values(once).map((scenario) => [scenario.name, scenario]);
  for (const scenario of Object.values(scenarios)) {
    calls.push(...MODELS.map((model) => [`${scenario.name}[${model}]`, () => scenario(model)]));
  }
  const failures = {};
  for (const [name, call] of calls) {
    try {
      await Promise.race([call(), late()]);
      failures[name] = null;
    } catch (error) {
      failures[name] = `${error?.stack ?? error}`;
    }
  }
  console.log(JSON.stringify(failures));
  process.exit(); // whatever timer is left
};
