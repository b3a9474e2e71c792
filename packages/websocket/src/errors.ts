/**
 * Why no connection came about. What happens to one that was open is told to its receiver as a close code, never thrown.
 */
export type ConnectErrorCode = 'unreachable' | 'refused' | 'timeout' | 'dialect'

export interface ConnectErrorFacts {
  /** The HTTP status that the server answered instead of opening a socket; browsers do not tell. */
  readonly status?: number | undefined
  /** How long the server asked to wait before trying again. */
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

export class ConnectError extends Error {
  override readonly name = 'ConnectError'
  /**
   * `unreachable`: no socket; `refused`: the server answered with a status; `timeout`: it did not answer in time; `dialect`: it
   * speaks another one.
   */
  readonly code: ConnectErrorCode
  readonly status: number | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: ConnectErrorCode, message: string, facts: ConnectErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.code = code
    this.status = facts.status
    this.retryAfterMs = facts.retryAfterMs
  }
}
