/**
 * HELLO and ERROR: who the peer is and what it promises; what it could not do.
 * A version that we do not understand gets an error and a close with a reason, not silence.
 */
import { type ErrorMessage, type HelloMessage, MINIMUM_LIMITS } from '@tidemark/protocol'
import { settleItem } from './batches.ts'
import { type Connection, type Core, emit, IN_STEP, report, send } from './core.ts'
import { enter } from './lanes.ts'
import { askLater, freed } from './window.ts'

export const PROTOCOL_VERSION = 1
const FEATURES: readonly string[] = ['done', 'digests', 'probe']

export function sendHello(core: Core, connection: Connection): void {
  const { self } = core.options
  const { messageBytesMax, frameBytesMax } = core.limits
  send(core, connection, {
    action: 'hello',
    version: PROTOCOL_VERSION,
    features: FEATURES,
    generation: self.generation,
    level: self.level,
    limits: { messageBytesMax, frameBytesMax },
    peer: self.peer,
  })
}

export function onHello(core: Core, connection: Connection, message: HelloMessage): void {
  if (message.version !== PROTOCOL_VERSION) {
    const text = `protocol version ${PROTOCOL_VERSION} is spoken here, not ${message.version}`
    send(core, connection, { action: 'error', code: 'unsupported', message: text })
    emit(core, { type: 'close', connection: connection.id, code: 1002, reason: text })
    return
  }
  const { messageBytesMax, frameBytesMax } = message.limits
  const least = MINIMUM_LIMITS
  if (messageBytesMax < least.messageBytesMax || frameBytesMax < least.frameBytesMax) {
    const text = `messages of ${least.messageBytesMax} and frames of ${least.frameBytesMax} bytes have to be taken`
    send(core, connection, { action: 'error', code: 'limit', message: text })
    emit(core, { type: 'close', connection: connection.id, code: 1002, reason: text })
    return
  }
  const isFirst = connection.peer === undefined
  connection.peer = message.peer
  if (isFirst) takesMore(core, connection, Math.min(messageBytesMax, frameBytesMax))
  report(core, { kind: 'greeted', connection: connection.id, hello: message })
}

/** What was too large for every receiver may fit by what this one says. */
function takesMore(core: Core, connection: Connection, messageBytesMax: number): void {
  connection.messageBytesMax = messageBytesMax
  for (const [id, view] of connection.views) {
    if (view === IN_STEP || view.tooLarge === undefined) continue
    view.tooLarge = undefined
    enter(core, connection, id, { action: 'resend' })
  }
}

export function onError(core: Core, connection: Connection, message: ErrorMessage): void {
  const { id, code, retryAfterMs } = message
  report(core, { kind: 'error', connection: connection.id, id, code, message: message.message, retryAfterMs })
  if (id === undefined) return
  if (code === 'forbidden' && connection.traits.upstream && connection.asked.has(id))
    enter(core, connection, id, { action: 'name' })
  freed(core, connection, id)
  settleItem(core, connection, id)
  askAgain(core, connection, id, message)
}

/** Our LOAD was refused, which says nothing about absence: what may pass is asked again while somebody waits for the answer. */
function askAgain(core: Core, connection: Connection, id: string, { code, retryAfterMs }: ErrorMessage): void {
  if (code !== 'failed' && code !== 'unavailable' && code !== 'busy') return
  // Not before our own time: a peer that says "at once" for ever would be asked for ever.
  const { askAgainMs, askAgainMaxMs } = core.limits
  askLater(core, connection, id, Math.max(Math.min(retryAfterMs ?? 0, askAgainMaxMs), askAgainMs))
}
