// The doors of the tests under Node, over HTTP on a free port: node node.mjs DOORS.js
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
import { readParts } from "./support.mjs";

const { Doors } = await import(pathToFileURL(process.argv[2]).href);
const doors = new Doors(await readParts(), "node");

const server = createServer(async (request, response) => {
  const body = [];
  for await (const chunk of request) body.push(chunk);
  const answer = await doors.answer(
    new Request(`http://localhost${request.url}`, {
      method: request.method,
      ...(body.length > 0 && { body: Buffer.concat(body) }),
    }),
  );
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.end(Buffer.from(await answer.arrayBuffer()));
});
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
