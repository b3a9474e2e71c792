/**
 * What a client could not do for its application: one class, a closed set of codes, facts as fields.
 *
 * Expected outcomes (absent, failed, not uploaded yet) are states of a document, not errors; an error says that something the
 * application asked for was not done. Not here: the caller's mistakes (`TypeError`, `RangeError`).
 */
import type { ErrorCode } from '@tidemark/protocol'

/**
 * - `CLOSED`: the client or the document was closed, or its storage was closed for good (`cause` is its error).
 * - `ABSENT`: there is no such document to append to; create it first.
 * - `EXISTS`: there is such a document already, or one with another header.
 * - `UNAVAILABLE`: whether there is such a document could not be found out (`failure` says why).
 * - `SESSION_TAKEN`: another handle of this client writes that session (a session has one writer).
 * - `FORK`: other transactions are stored at that place of the session; open a new session and write there.
 * - `GAP`: the storage holds less of the session than this handle was opened after, or more than was read through it.
 * - `QUOTA`, `TOO_LARGE`, `BUSY`, `LIMIT`, `UNSUPPORTED`: refused, and nothing was stored.
 * - `STORAGE`: the storage failed, and nothing was stored.
 * - `NO_UPSTREAM`: this client was given nothing to connect to.
 * - `LEVEL`: the server's acknowledgements promise less than was asked for.
 */
export type ClientErrorCode =
  | 'CLOSED'
  | 'ABSENT'
  | 'EXISTS'
  | 'UNAVAILABLE'
  | 'SESSION_TAKEN'
  | 'FORK'
  | 'GAP'
  | 'QUOTA'
  | 'TOO_LARGE'
  | 'BUSY'
  | 'LIMIT'
  | 'UNSUPPORTED'
  | 'STORAGE'
  | 'NO_UPSTREAM'
  | 'LEVEL'

/** Why a document could not be asked for, in the words of whoever failed. */
export interface Failure {
  readonly code: ErrorCode
  readonly message: string
}

export interface ClientErrorFacts {
  readonly id?: string | undefined
  readonly session?: string | undefined
  readonly failure?: Failure | undefined
  /** When trying again may help. */
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: ClientErrorCode
  /** The document it is about. */
  readonly id: string | undefined
  readonly session: string | undefined
  readonly failure: Failure | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: ClientErrorCode, message: string, facts: ClientErrorFacts = {}) {
    super(
      facts.id === undefined ? message : `document ${JSON.stringify(facts.id)}: ${message}`,
      facts.cause === undefined ? undefined : { cause: facts.cause },
    )
    this.code = code
    this.id = facts.id
    this.session = facts.session
    this.failure = facts.failure
    this.retryAfterMs = facts.retryAfterMs
  }
}

const REFUSALS: Readonly<Record<ErrorCode, ClientErrorCode>> = {
  quota: 'QUOTA',
  tooLarge: 'TOO_LARGE',
  busy: 'BUSY',
  fork: 'FORK',
  limit: 'LIMIT',
  unsupported: 'UNSUPPORTED',
  unavailable: 'UNAVAILABLE',
  malformed: 'STORAGE',
  forbidden: 'STORAGE',
  failed: 'STORAGE',
  refused: 'STORAGE',
}

/** The code for what the engine said to content of ours. */
export function refusalCode(code: ErrorCode): ClientErrorCode {
  return REFUSALS[code]
}
