/**
 * Clients for tests among bad company, in any dialect: one that says anything, and an honest one that counts what it is owed.
 */
import type { Codec, Dialect, Frame, Message } from '@tidemark/protocol'
import { ProtocolError } from '@tidemark/protocol'
import type { Channel } from '@tidemark/sync/run'
import { nodeWebSocket } from '@tidemark/websocket/node'
import { untilAtOnce } from '../help.ts'

export interface AnyClient {
  readonly codec: Codec
  readonly heard: Message[]
  readonly ended: { readonly code: number; readonly reason: string } | undefined
  readonly channel: Channel
  say(...messages: Message[]): void
  send(frame: Frame): void
  close(): void
}

/** `from` is where a proxy would say that it comes from: penalties are by address, and all of these share one. */
export async function anyClient(url: string, dialect: Dialect, from: string): Promise<AnyClient> {
  const headers = { 'x-forwarded-for': from }
  const connect = nodeWebSocket(url, { dialect, headers, closeGraceMs: 200 })
  const channel = await connect(new AbortController().signal)
  const codec = dialect.createCodec()
  // Both directions have their own state in a dialect that has any.
  const heard: Message[] = []
  let ended: { code: number; reason: string } | undefined
  channel.open({
    frame(frame) {
      for (const one of codec.decode(frame)) {
        if (one instanceof ProtocolError) throw one
        if (one.message.action !== 'ping' && one.message.action !== 'hello') heard.push(one.message)
      }
    },
    drained() {},
    closed(code, reason) {
      ended = { code, reason }
    },
  })
  return {
    codec,
    heard,
    get ended() {
      return ended
    },
    channel,
    say(...messages) {
      for (const frame of codec.encode(messages, 64 * 1024)) channel.send(frame)
    },
    send: (frame) => channel.send(frame),
    close: () => channel.close(1000, 'done'),
  }
}

const utf8 = new TextEncoder()

export interface Bystander {
  readonly written: number
  readonly acknowledged: number
  /** Transactions of others that came. */
  readonly received: number
  readonly ended: AnyClient['ended']
  write(): void
  /** Writes one transaction and waits for its acknowledgement, for 20 s unless `waits` waits otherwise. */
  writeOne(waits?: (what: string, isSo: () => boolean) => Promise<void>): Promise<void>
  close(): void
}

/** Writes to a document in a session of its own, and counts what it is acknowledged and what others wrote there. */
export async function bystander(
  url: string,
  dialect: Dialect,
  id: string,
  session: string,
  begin = 0,
): Promise<Bystander> {
  const client = await anyClient(url, dialect, `honest ${session}`)
  let written = begin
  let acknowledged = begin
  const others = new Map<string, number>()

  function read(): void {
    for (const message of client.heard.splice(0)) {
      if (!('id' in message) || message.id !== id) continue
      if (message.action === 'known') acknowledged = Math.max(acknowledged, message.known.sessions.get(session) ?? 0)
      if (message.action === 'content')
        for (const run of message.runs)
          if (run.session !== session)
            others.set(run.session, Math.max(others.get(run.session) ?? 0, run.after + run.transactions.length))
    }
  }

  function write(): void {
    const transaction = utf8.encode(JSON.stringify({ privacy: 'trusting', madeAt: written, changes: '[]' }))
    const header = { type: 'comap', ruleset: { type: 'unsafeAllowAll' }, meta: null, uniqueness: id, createdAt: null }
    const run = { session, after: written, transactions: [transaction], seal: utf8.encode(`signature_z${written}`) }
    client.say({
      action: 'content',
      id,
      kind: 'json',
      priority: 3,
      ...(written === 0 && { header: utf8.encode(JSON.stringify(header)) }),
      runs: [run],
    })
    written += 1
  }

  if (begin > 0) client.say({ action: 'load', id, known: { header: true, sessions: new Map([[session, begin]]) } })
  return {
    get written() {
      return written
    },
    get acknowledged() {
      read()
      return acknowledged
    },
    get received() {
      read()
      let sum = 0
      for (const count of others.values()) sum += count
      return sum
    },
    get ended() {
      return client.ended
    },
    write,
    async writeOne(waits = untilAtOnce) {
      write()
      await waits(
        `${session} is acknowledged ${written}, has ${acknowledged}, ended ${JSON.stringify(client.ended)}`,
        () => {
          read()
          return acknowledged >= written
        },
      )
    },
    close: client.close,
  }
}
