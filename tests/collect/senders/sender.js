// Sends events 0, 1, 2, … with @fluent-org/logger, and prints the number of each that was acknowledged.
const {FluentClient} = require("@fluent-org/logger");
const [port, count, eventMode, compressed] = process.argv.slice(2);

const client = new FluentClient("ml", {
  eventMode,
  ack: {ackTimeout: 5000},
  sendQueueFlushInterval: 5,
  socket: {host: "127.0.0.1", port: Number(port), timeout: 5000, reconnect: {backoff: 1.2, delay: 50, minDelay: 50, maxDelay: 200}},
});
const sent = [];
for (let n = 0; n < Number(count); n++) {
  sent.push(client.emit("node", {n}, new Date(Date.UTC(2026, 10, 20, 1)))
    .then(() => console.log(n), (error) => console.error(n, error.name)));
}
Promise.all(sent).then(() => client.disconnect()).then(() => process.exit(0));
