/**
 * What connections assume unless told otherwise, at either end.
 */

/** Four pages: enough to keep a socket busy, little enough for thousands of slow readers. */
export const HIGH_WATER_BYTES: number = 256 * 1024
export const OPEN_TIMEOUT_MS = 10_000
export const PING_EVERY_MS = 30_000
export const CLOSE_GRACE_MS = 5_000
