// The official libraries, each as its own documentation shows it: 200 when it verifies, 401 when it throws or says no.

import { webcrypto } from 'node:crypto'
import '@shopify/shopify-api/adapters/node'
import { verify as verifyGithub } from '@octokit/webhooks-methods'
import { LogSeverity, shopifyApi } from '@shopify/shopify-api'
import bolt from '@slack/bolt'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import Stripe from 'stripe'
import { Webhook as SvixWebhook } from 'svix'

const { env } = process

// Shopify's library wants it global, which Node 18 does not do by itself.
globalThis.crypto ??= webcrypto

/** A receiver from a function that takes the raw text and the request, and throws or returns false to refuse. */
function receiver(verifies) {
  return (req, res) => {
    const chunks = []
    req.on('data', (chunk) => chunks.push(chunk))
    req.on('end', async () => {
      try {
        res.statusCode = (await verifies(Buffer.concat(chunks).toString(), req, res)) === false ? 401 : 200
        res.end()
      } catch (error) {
        res.statusCode = 401
        res.end(String(error))
      }
    })
  }
}

export const official = {
  standardwebhooks: receiver((body, req) => {
    new StandardWebhook(env.STANDARD_SECRET).verify(body, req.headers)
  }),
  svix: receiver((body, req) => {
    new SvixWebhook(env.STANDARD_SECRET).verify(body, req.headers)
  }),
  stripe: receiver((body, req) => {
    Stripe.webhooks.constructEvent(body, req.headers['stripe-signature'], env.STRIPE_SECRET)
  }),
  github: receiver((body, req) => verifyGithub(env.GITHUB_SECRET, body, req.headers['x-hub-signature-256'])),
  slack: receiver((body, req) => {
    bolt.verifySlackRequest({ signingSecret: env.SLACK_SECRET, body, headers: req.headers })
  }),
  shopify: receiver(async (body, req, res) => {
    const shopify = shopifyApi({
      apiKey: 'key',
      apiSecretKey: env.SHOPIFY_SECRET,
      apiVersion: '2025-10',
      hostName: 'localhost',
      isEmbeddedApp: false,
      logger: { level: LogSeverity.Error },
    })
    const { valid } = await shopify.webhooks.validate({ rawBody: body, rawRequest: req, rawResponse: res })
    return valid
  }),
}
