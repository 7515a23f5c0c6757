// The receivers that run on Node: every platform's published code under Express 4 and 5, and the official libraries.
//
// Secrets: CALLBACK_SECRET (Hinto), WEBHOOK_SECRET (VideoPilot), MODELHUNTER_SECRET, STANDARD_SECRET (also for Svix),
// STRIPE_SECRET, GITHUB_SECRET, SLACK_SECRET, SHOPIFY_SECRET.

import fs from 'node:fs'
import { createRequire } from 'node:module'
import vm from 'node:vm'
import express5 from 'express'
import express4 from 'express4'
import { verifyWebhookSignature } from './published/modelhunter.mjs'
import { official } from './official.mjs'
import { listen } from './recording.mjs'

const quiet = { log() {}, error() {} }

/** Runs a published file as it is, with what its page takes for granted. */
function published(file, app, express) {
  const resolve = createRequire(import.meta.url)
  vm.runInNewContext(
    fs.readFileSync(new URL(`published/${file}`, import.meta.url), 'utf8'),
    {
      app,
      express,
      require: (name) => (name === 'express' ? express : resolve(name)),
      process,
      Buffer,
      console: quiet,
      queueVideoForRendering() {},
      notifyUserVideoReady() {},
    },
    { filename: file },
  )
}

/** Accepts any JSON: the kinds of delivery that carry no signature. */
function unsigned(app, path, express) {
  app.post(path, express.json(), (req, res) => res.sendStatus(typeof req.body === 'object' ? 200 : 400))
}

const platforms = {
  hinto(app, express) {
    app.use(express.json({ verify: (req, _res, bytes) => { req.rawBody = bytes } }))
    published('hinto.cjs', app, express)
    unsigned(app, '/project', express)
  },
  modelhunter(app, express) {
    app.post('/webhooks/modelhunter', express.json(), (req, res) => {
      try {
        verifyWebhookSignature(req, process.env.MODELHUNTER_SECRET)
        res.sendStatus(200)
      } catch (error) {
        res.status(401).send(error.message)
      }
    })
    unsigned(app, '/job', express)
  },
  hooked(app, express) {
    published('hooked.cjs', app, express)
  },
  videopilot(app, express) {
    published('videopilot.cjs', app, express)
  },
}

const ports = {}
for (const [major, express] of [[4, express4], [5, express5]]) {
  for (const [platform, install] of Object.entries(platforms)) {
    const app = express()
    // Without it Express prints every refused signature's stack.
    app.set('env', 'test')
    install(app, express)
    ports[`${platform}${major}`] = await listen(`${platform}${major}`, app)
  }
}
for (const [library, receiver] of Object.entries(official)) {
  ports[library] = await listen(library, receiver)
}
process.stdout.write(`${JSON.stringify(ports)}\n`)
process.stdin.on('end', () => process.exit(0)).resume()
