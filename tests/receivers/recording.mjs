// One line of JSON on the standard output for every request answered, written before its answer.

import crypto from 'node:crypto'
import http from 'node:http'

/** Serves on a free loopback port and records. Resolves to the port. */
export function listen(receiver, handler) {
  const server = http.createServer((req, res) => {
    const path = req.url
    const chunks = []
    // The application reads the same stream in the same turn, so it misses nothing.
    req.on('data', (chunk) => chunks.push(chunk))
    const end = res.end
    res.end = function (...args) {
      const body = Buffer.concat(chunks)
      const record = {
        receiver,
        method: req.method,
        path,
        headers: pairs(req.rawHeaders),
        sha256: crypto.createHash('sha256').update(body).digest('hex'),
        body: body.toString(),
        status: res.statusCode,
      }
      // To a pipe, Node writes at once.
      process.stdout.write(`${JSON.stringify(record)}\n`)
      return end.apply(this, args)
    }
    handler(req, res)
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)))
}

function pairs(flat) {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]])
}
