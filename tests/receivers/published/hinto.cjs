const crypto = require('crypto')
function verifySignature(body, signature, secret) {
const expected = crypto
.createHmac('sha256', secret)
.update(body) // raw Buffer or string — do not parse JSON first
.digest('hex')
return crypto.timingSafeEqual(
Buffer.from(signature),
Buffer.from(expected)
)
}
// In your Express handler:
app.post('/webhook', (req, res) => {
const sig = req.headers['x-hinto-signature']
const valid = verifySignature(req.rawBody, sig, process.env.CALLBACK_SECRET)
if (!valid) return res.status(401).send('Invalid signature')
// handle req.body
res.sendStatus(200)
})
