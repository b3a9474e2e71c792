/**
 * What a peer did wrong. Never thrown for a disk (`StorageError`) or for a caller's mistake (`TypeError`, `RangeError`).
 */
export type ProtocolErrorCode = 'malformed' | 'limit' | 'unsupported'

export interface ProtocolErrorFacts {
  /** Where in the message, as a path: `sessions["a"]`. */
  readonly field: string
  readonly expected: string
  readonly got: string
  /** The document that the message was about, where that could be read. */
  readonly id?: string | undefined
  /** Nothing that follows on the connection can be understood: it has to be closed. */
  readonly fatal?: boolean
  readonly cause?: unknown
}

export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code: ProtocolErrorCode
  readonly field: string
  readonly expected: string
  readonly got: string
  readonly id: string | undefined
  readonly fatal: boolean

  constructor(code: ProtocolErrorCode, facts: ProtocolErrorFacts) {
    super(`${facts.field}: expected ${facts.expected}, got ${facts.got}`, { cause: facts.cause })
    this.code = code
    this.field = facts.field
    this.expected = facts.expected
    this.got = facts.got
    this.id = facts.id
    this.fatal = facts.fatal ?? false
  }
}
