const crypto = require('crypto');
const express = require('express');
function verifyWebhook(payload, signature, secret) {
const hmac = crypto.createHmac('sha256', secret);
hmac.update(payload, 'utf8');
const expectedSignature = 'sha256=' + hmac.digest('hex');
return crypto.timingSafeEqual(
Buffer.from(signature),
Buffer.from(expectedSignature)
);
}
app.post('/webhook', express.raw({type: 'application/json'}), (req, res) => {
const signature = req.get('X-VideoPilot-Signature');
const payload = req.body.toString();
const isValid = verifyWebhook(payload, signature, process.env.WEBHOOK_SECRET);
if (!isValid) {
return res.status(401).send('Invalid signature');
}
const event = JSON.parse(payload);
console.log('Received event:', event.event);
// Process the webhook event
switch (event.event) {
case 'video.media_ready':
// Queue for rendering
queueVideoForRendering(event.data.video_id);
break;
case 'render.completed':
// Notify user or update database
notifyUserVideoReady(event.data);
break;
}
res.status(200).send('OK');
});
