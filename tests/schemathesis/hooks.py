"""Media types of our API that schemathesis does not know."""

import schemathesis

# A made-up string as it is, or a made-up value as JSON: either is a batch of one line, good or bad.
schemathesis.serializer.alias("application/x-ndjson", "text/plain")
