// Sends events 0, 1, 2, … with @fluent-org/logger, twenty at a time and each again until it is acknowledged, and prints its number then.
const {FluentClient} = require("@fluent-org/logger");
const [eventMode, port, count] = process.argv.slice(2);

const client = new FluentClient("ml", {
  eventMode,
  ack: {ackTimeout: 5000},
  sendQueueFlushInterval: 5,
  socket: {host: "127.0.0.1", port: Number(port), timeout: 5000, reconnect: {backoff: 1.2, delay: 50, minDelay: 50, maxDelay: 200}},
});
const moment = new Date(Date.UTC(2026, 10, 20, 1));

async function main() {
  for (let first = 0; first < Number(count); first += 20) {
    let left = Array.from({length: 20}, (_, index) => first + index);
    while (left.length) {
      const results = await Promise.allSettled(left.map((n) => client.emit("node", {n}, moment)));
      results.forEach((result, index) => result.status === "fulfilled" && console.log(left[index]));
      left = left.filter((_, index) => results[index].status === "rejected");
    }
  }
  await client.disconnect();
  process.exit(0);
}
main();
