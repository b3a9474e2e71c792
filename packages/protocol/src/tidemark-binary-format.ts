/**
 * The numbers of `tidemark.1`: types of messages, flags, codes. What they mean is written in docs/protocol.md; they never change.
 */
import type { ErrorCode, Priority } from './messages.ts'

export const HELLO = 1
export const NAMES = 2
export const LOAD = 3
export const KNOWN = 4
export const MORE = 5
export const CONTENT = 6
export const DONE = 7
export const RECONCILE = 8
export const RECONCILE_ACK = 9
export const ERROR = 10
export const PING = 11

/** Of known states. */
export const STATE_HEADER = 1
export const STATE_DIGESTS = 2
export const STATE_MORE = 4
/** LOAD: answer with a known state only. KNOWN: a correction. */
export const STATE_SPECIAL = 8

/** Of content; the two bits above `CONTENT_BYTES` are the priority. */
export const CONTENT_BYTES = 1
export const CONTENT_HEADER = 8
export const CONTENT_UNTIL = 16

/** Of runs, in the two lowest bits of the number of transactions. */
export const RUN_SEAL = 1
export const RUN_DIGEST = 2

export const ERROR_ID = 1
export const ERROR_RETRY = 2

export const DIGEST_BYTES = 8
/** Messages of one frame. */
export const FRAME_MESSAGES_MAX = 16_384

/** By code. */
export const PRIORITIES: readonly Priority[] = [0, 3, 6]

/** By code; one that is not known reads as the first. */
export const ERROR_CODES: readonly ErrorCode[] = [
  'failed',
  'malformed',
  'unsupported',
  'limit',
  'forbidden',
  'unavailable',
  'quota',
  'tooLarge',
  'refused',
  'fork',
  'busy',
]

export const FEATURES_MAX = 64
/** As UTF-8; the readable twin allows 1,024 characters. */
export const ERROR_TEXT_BYTES_MAX = 4_096
