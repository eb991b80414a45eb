// One JSON line for each message on standard input: whether the library accepts it.
const { createInterface } = require("node:readline");
const { Webhook } = require("standardwebhooks");

createInterface({ input: process.stdin }).on("line", (line) => {
  const { secret, body, headers } = JSON.parse(line);
  let accepted = true;
  try {
    new Webhook(secret).verify(body, headers);
  } catch {
    accepted = false;
  }
  console.log(JSON.stringify(accepted));
});
