// Jobs that broadcast their progress on a channel, as better-sse's guides have it, on plain node:http.
//
// POST /jobs -> {"id": ...}   GET /jobs/{id}/events   GET /jobs/{id} -> {"state": ...}   GET /log
import { createServer } from "node:http";
import { setTimeout } from "node:timers/promises";
import { createChannel, createSession } from "better-sse";

const EVENTS = 8;
const INTERVAL = 250; // milliseconds
const jobs = new Map();

function startJob() {
  const job = { id: crypto.randomUUID(), state: "running", channel: createChannel() };
  jobs.set(job.id, job);
  let step = 0;
  const timer = setInterval(() => {
    step += 1;
    if (step < EVENTS) {
      job.channel.broadcast({ job: job.id, step, at: Date.now() / 1000 }, "progress");
      return;
    }
    clearInterval(timer);
    job.state = "completed";
    job.channel.broadcast({ job: job.id, step, at: Date.now() / 1000 }, "done");
    for (const session of job.channel.activeSessions) session.state.response.end();
  }, INTERVAL);
  return job;
}

// Text as it is, not as JSON: what a user gets who sets a serializer and sends lines of a log.
async function streamLog(request, response) {
  const session = await createSession(request, response, { serializer: String });
  const entries = ["started", "connection lost\n  at read\n  at next", "connected again", "[DONE]"];
  for (const entry of entries) {
    await setTimeout(INTERVAL);
    if (!session.isConnected) return;
    session.push(entry);
  }
  response.end();
}

function json(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

async function handle(request, response) {
  const [, first, id, last] = new URL(request.url, "http://localhost").pathname.split("/");
  if (first === "log") return streamLog(request, response);
  if (first !== "jobs") return json(response, 404, { error: "nothing here" });
  if (request.method === "POST" && id === undefined) return json(response, 201, { id: startJob().id });
  const job = jobs.get(id);
  if (job === undefined) return json(response, 404, { error: "no such job" });
  if (last === undefined) return json(response, 200, { id, state: job.state });
  const session = await createSession(request, response, { state: { response } });
  job.channel.register(session);
}

const port = Number(process.argv[2] ?? 8080);
createServer((request, response) => void handle(request, response)).listen(port, "127.0.0.1");
