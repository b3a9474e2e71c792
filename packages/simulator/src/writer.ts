/**
 * A writer: a peer that writes one session of one document and reads nothing, such as a meter. It stores nothing, and never crashes.
 *
 * On every connection, and whenever it was not confirmed for a while, it asks with an empty run how much the server has, and goes on from
 * there; a server that says nothing for long is connected to anew. Not here: clients (`client-node.ts`); theirs ask for what they write,
 * which a server refuses whoever may not read it.
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import { type ContentMessage, type Message, type PayloadKind, ProtocolError } from '@tidemark/protocol'
import type { Channel, Connect } from '@tidemark/sync/run'
import type { Process } from './process.ts'
import type { ServerNode } from './server-node.ts'

export interface Writer {
  readonly name: string
  readonly server: ServerNode
  readonly id: string
  readonly session: string
  readonly written: readonly Uint8Array[]
  write(transaction: Uint8Array): void
  /** Ends its process. */
  close(): void
}

export interface WriterOptions {
  readonly server: ServerNode
  readonly id: string
  readonly session: string
  readonly header: Uint8Array
  readonly kind: PayloadKind
}

const ASKS_EVERY_MS = 5_000
const CONNECT_MS = 30_000
const UNANSWERED_MAX = 6
const FRAME_BYTES = 128 * 1024

export function createWriter(name: string, options: WriterOptions, process: Process, connect: Connect): Writer {
  const { server, id, session, header, kind } = options
  const written: Uint8Array[] = []
  let say: ((message: Message) => void) | undefined
  let hangUp = () => {}
  /** How often it asked since it heard something. */
  let unanswered = 0
  let confirmed = 0
  /** `undefined` while the server has not said how much it has. */
  let sent: number | undefined

  const carrying = (rest: Pick<ContentMessage, 'runs' | 'header'>): Message => ({
    action: 'content',
    id,
    kind,
    priority: 3,
    ...rest,
  })

  function ask(): void {
    sent = undefined
    unanswered += 1
    say?.(carrying({ runs: [{ session, after: written.length, transactions: [] }] }))
  }

  function sendRest(lacksHeader = false): void {
    if (sent === undefined) return
    const runs = sent < written.length ? [{ session, after: sent, transactions: written.slice(sent) }] : []
    sent = written.length
    if (lacksHeader || runs.length > 0) say?.(carrying({ runs, ...(lacksHeader && { header }) }))
  }

  function hear(message: Message): void {
    unanswered = 0
    if (message.action === 'load' && message.id !== id)
      say?.({ action: 'known', id: message.id, known: EMPTY, correction: false })
    if (!('id' in message) || message.id !== id) return
    if (message.action === 'error') sent = undefined
    else if (message.action === 'load') stands(message.known, true)
    else if (message.action === 'known') stands(message.known, message.correction)
  }

  function stands(known: KnownState, isAll: boolean): void {
    confirmed = known.sessions.get(session) ?? 0
    if (sent !== undefined && !isAll) return
    sent = confirmed
    sendRest(!known.header)
  }

  function speak(channel: Channel): Promise<void> {
    const codec = channel.dialect.createCodec()
    return new Promise((resolve) => {
      const ended = () => {
        say = undefined
        resolve()
      }
      channel.open({
        frame(frame) {
          for (const one of codec.decode(frame)) if (!(one instanceof ProtocolError)) hear(one.message)
        },
        drained() {},
        closed: ended,
      })
      say = (message) => {
        for (const frame of codec.encode([message], FRAME_BYTES)) channel.send(frame)
      }
      hangUp = () => channel.close(1000, 'silent')
      unanswered = 0
      ask()
    })
  }

  async function stayConnected(): Promise<void> {
    while (process.alive) {
      const attempt = new AbortController()
      const reached = process.after(CONNECT_MS, () => attempt.abort(new Error('nobody answers')))
      await connect(attempt.signal)
        .finally(reached)
        .then(speak, () => {})
      await process.clock.wait(ASKS_EVERY_MS)
    }
  }

  function askAgain(): void {
    if (unanswered > UNANSWERED_MAX) hangUp()
    else if (confirmed < written.length || sent === undefined) ask()
    process.after(ASKS_EVERY_MS, askAgain)
  }

  void stayConnected()
  askAgain()
  return {
    name,
    server,
    id,
    session,
    written,
    write(transaction) {
      written.push(transaction)
      sendRest()
    },
    close: () => process.kill(),
  }
}
