/**
 * JSON payloads: a document of kind `json` carries JSON texts, as bytes.
 *
 * The text is what travels and is stored: it is never parsed and serialised again on its way, so that hashes and signatures over
 * it hold. Not here: what the values mean.
 */
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The payload for a JSON value.
 *
 * @throws TypeError if `value` has no JSON text (`undefined`, a function, a cycle, a bigint).
 */
export function jsonPayload(value: unknown): Uint8Array {
  const text = JSON.stringify(value)
  if (text === undefined) throw new TypeError(`expected a value with a JSON text, got ${typeof value}`)
  return encoder.encode(text)
}

/**
 * The value of a payload.
 *
 * @throws TypeError if it is not UTF-8, SyntaxError if it is not JSON.
 */
export function parseJson(payload: Uint8Array): unknown {
  return JSON.parse(decoder.decode(payload))
}

/** @throws TypeError naming `what` if `payload` is not a JSON text. */
export function checkJson(payload: Uint8Array, what: string): void {
  try {
    parseJson(payload)
  } catch (cause) {
    throw new TypeError(
      `${what}: expected the bytes of a JSON text (see \`jsonPayload\`), or a document of kind 'bytes'`,
      {
        cause,
      },
    )
  }
}
