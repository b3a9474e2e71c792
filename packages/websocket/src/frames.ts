/**
 * Frames on a WebSocket: text dialects travel as text messages, binary ones as binary messages.
 *
 * Not here: what is in them (the codecs of `@tidemark/protocol`).
 */
import type { Frame } from '@tidemark/protocol'

/**
 * What a codec is given for a binary message in a text dialect: a frame that it answers with exactly one `ProtocolError`, so that it
 * counts as one malformed message (L14), and that says in its own words what came. One line, and not JSON.
 */
export function binaryInTextDialect(bytes: number): Frame {
  return `(a binary message of ${bytes} bytes)`
}

/** As much of `reason` as fits a close frame: 123 bytes of UTF-8. */
export function closeReason(reason: string): string {
  return reason.slice(0, new TextEncoder().encodeInto(reason, new Uint8Array(CLOSE_REASON_BYTES_MAX)).read)
}

const CLOSE_REASON_BYTES_MAX = 123
