import hmac
import hashlib
import os
from flask import Flask, request
app = Flask(__name__)
def verify_webhook(payload, signature, secret):
    expected_signature = 'sha256=' + hmac.new(
        secret.encode('utf-8'),
        payload,
        hashlib.sha256
    ).hexdigest()
    return hmac.compare_digest(signature, expected_signature)
@app.route('/webhook', methods=['POST'])
def handle_webhook():
    signature = request.headers.get('X-VideoPilot-Signature')
    payload = request.get_data()
    if not verify_webhook(payload, signature, os.getenv('WEBHOOK_SECRET')):
        return 'Invalid signature', 401
    event = request.get_json()
    print(f"Received event: {event['event']}")
    # Process the webhook event
    if event['event'] == 'video.media_ready':
        # Queue for rendering
        queue_video_for_rendering(event['data']['video_id'])
    elif event['event'] == 'render.completed':
        # Notify user or update database
        notify_user_video_ready(event['data'])
    return 'OK', 200
