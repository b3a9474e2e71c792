/**
 * Admission: who may connect, decided before there is a connection.
 *
 * A server that cannot serve says so with a status (503), so that clients wait instead of taking silence or closed connections for
 * an answer. Not here: what somebody may read or write (`authorize`), HTTP (`@tidemark/websocket`).
 */
import type { Admission, Refusal, UpgradeRequest } from '@tidemark/websocket'
import { accountOf } from './accounts.ts'
import type { Who } from './connections.ts'
import type { Counters } from './counters.ts'
import type { Log } from './log.ts'
import type { ServerHooks } from './options.ts'
import type { Penalties } from './penalties.ts'
import type { Turnstile } from './turnstile.ts'

export interface AdmissionOptions {
  readonly authenticate: ServerHooks['authenticate']
  readonly penalties: Penalties
  readonly counters: Counters
  readonly turnstile: Turnstile
  readonly log: Log
  mayComeFrom(request: UpgradeRequest): boolean
  /** When to come again, for who cannot be let in now. */
  retryAfterMs(): number
  /** Why nobody can be let in at the moment, if so. */
  obstacle(): string | undefined
}

export function createAdmission(options: AdmissionOptions): (request: UpgradeRequest) => Promise<Admission<Who>> {
  return async (request) => {
    const admission = await decide(request, options)
    if ('status' in admission) {
      options.counters.refused(admission.status)
      options.log('debug', 'client refused', { status: admission.status, address: request.remoteAddress })
    }
    return admission
  }
}

async function decide(request: UpgradeRequest, options: AdmissionOptions): Promise<Admission<Who>> {
  const early = unavailable(options)
  if (early !== undefined) return early
  if (!options.mayComeFrom(request)) return { status: 403, message: 'pages of this origin may not connect' }
  const who = await identify(request, options)
  if ('status' in who) return who
  const waitMs = options.penalties.waitMs(who.key)
  if (waitMs > 0) return { status: 429, message: 'you were closed for cause; come back later', retryAfterMs: waitMs }
  const pass = await options.turnstile.enter(accountOf(who.principal) ?? request.remoteAddress)
  if (pass === undefined) return notNow('many clients come back at one time', options)
  // All of this may have taken a while.
  const late = unavailable(options)
  if (late === undefined) return { admitted: { ...who, pass } }
  pass.giveBack()
  return late
}

function unavailable(options: AdmissionOptions): Refusal | undefined {
  const message = options.obstacle()
  return message === undefined ? undefined : notNow(message, options)
}

function notNow(message: string, { retryAfterMs }: AdmissionOptions): Refusal {
  return { status: 503, message, retryAfterMs: retryAfterMs() }
}

async function identify(
  request: UpgradeRequest,
  options: AdmissionOptions,
): Promise<(Who & { readonly key: string }) | Refusal> {
  const { authenticate, log } = options
  let principal: unknown
  try {
    principal = await authenticate?.(request)
  } catch (cause) {
    log('error', 'authentication failed', { cause })
    return notNow('it could not be found out who you are', options)
  }
  if (authenticate !== undefined && principal === undefined)
    return { status: 401, message: 'say who you are: no valid token was given' }
  if (authenticate !== undefined && principal === false) return { status: 403, message: 'you may not connect' }
  return { principal, key: keyOf(request, principal) }
}

/**
 * A user at an address: one of many users behind a proxy, or one of many devices with the same token, is not taken for all of them.
 * What a proxy adds is not checked: whoever makes it up escapes a penalty, and harms nobody else.
 */
function keyOf({ remoteAddress = '', headers }: UpgradeRequest, principal: unknown): string {
  const forwarded = String(headers['x-forwarded-for'] ?? '').slice(0, FORWARDED_CHARACTERS_MAX)
  return JSON.stringify([remoteAddress, forwarded, accountOf(principal) ?? ''])
}

const FORWARDED_CHARACTERS_MAX = 200
