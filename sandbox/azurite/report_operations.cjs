// Loaded before Azurite: prints one line for every answer, such as
//   operation 41234 201 POST /account/queue/messages
// Azurite's own access log names no port, and only the port tells the three services apart.
const { subscribe } = require("node:diagnostics_channel");

subscribe("http.server.response.finish", ({ request, response, server }) => {
  const address = server.address();
  if (address === null) return; // it is being stopped
  const url = request.originalUrl ?? request.url; // express shortens `url` on its way
  process.stdout.write(
    `operation ${address.port} ${response.statusCode} ${request.method} ${url}\n`,
  );
});
