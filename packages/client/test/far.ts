/**
 * A server behind a real socket, and a storage that asks it: what each said is written down.
 */
import type { KnownState } from '@tidemark/known-state'
import { type Dialect, type Message, ProtocolError, tidemarkJson } from '@tidemark/protocol'
import { createServer, type ServerOptions } from '@tidemark/server'
import { listen } from '@tidemark/server/node'
import { type Append, memoryStorage, type Storage } from '@tidemark/storage'
import { createPipe } from '@tidemark/sync/run'
import { webSocket } from '@tidemark/websocket'
import { remoteStorage } from '../src/remote.ts'

export const mebibyte = 1024 * 1024
/** What every server takes at least. */
export const least = { messageBytesMax: 65_536, frameBytesMax: 65_536 }

export interface Far {
  readonly data: Storage
  readonly remote: Storage
  /** Messages, without HELLO. */
  readonly said: readonly Message[]
  readonly heard: readonly Message[]
  connections(): number
  close(): Promise<void>
}

export async function far(
  dialect: Dialect,
  limits: ServerOptions['limits'] = {},
  runBytesMax = 32 * mebibyte,
  more: (data: Storage) => Partial<ServerOptions> = () => ({}),
): Promise<Far> {
  const data = memoryStorage({ runBytesMax })
  const server = await listen(await createServer({ storage: data, limits, ...more(data) }))
  const connect = webSocket(server.url, { dialect })
  const said: Message[] = []
  const heard: Message[] = []
  let connections = 0
  const remote = remoteStorage({
    peer: 'near',
    async connect(signal) {
      const channel = await connect(signal)
      connections += 1
      const [out, back] = [noting(dialect, said), noting(dialect, heard)]
      return {
        ...channel,
        open: (receiver) =>
          channel.open({
            ...receiver,
            frame(frame) {
              back(frame)
              receiver.frame(frame)
            },
          }),
        send(frame) {
          out(frame)
          channel.send(frame)
        },
      }
    },
  })
  await remote.open()
  return {
    data,
    remote,
    said,
    heard,
    connections: () => connections,
    async close() {
      await remote.close()
      await server.close()
    },
  }
}

/** A storage that asks a server which holds `known` of `note`, and says the next of `answers` to each content. */
export function scripted(known: KnownState, answers: readonly Message[][]) {
  let contents = 0
  const answersTo = (message: Message): readonly Message[] => {
    if (message.action === 'content') return answers[contents++] ?? []
    if (message.action === 'load') return [{ action: 'known', id: 'note', known, correction: false }]
    return message.action === 'reconcile' ? [{ action: 'reconcile-ack', batch: message.batch }] : []
  }
  const remote = remoteStorage({
    peer: 'near',
    async connect() {
      const [mine, theirs] = createPipe(tidemarkJson)
      const [reads, writes] = [tidemarkJson.createCodec(), tidemarkJson.createCodec()]
      const say = (messages: readonly Message[]) => {
        for (const frame of writes.encode(messages, mebibyte)) theirs.send(frame)
      }
      const frame = (bytes: string | Uint8Array) => {
        for (const one of reads.decode(bytes)) if (!(one instanceof ProtocolError)) say(answersTo(one.message))
      }
      theirs.open({ frame, drained() {}, closed() {} })
      const limits = { messageBytesMax: mebibyte, frameBytesMax: mebibyte }
      const generation = { id: 'g', sequence: 0 }
      say([{ action: 'hello', version: 1, features: [], generation, level: 'durable', limits, peer: 'far' }])
      return mine
    },
  })
  return { remote, contents: () => contents }
}

function noting(dialect: Dialect, messages: Message[]): (frame: string | Uint8Array) => void {
  const codec = dialect.createCodec({ messageBytesMax: 64 * mebibyte })
  return (frame) => {
    for (const one of codec.decode(frame)) {
      if (one instanceof ProtocolError) throw one
      if (one.message.action !== 'hello') messages.push(one.message)
    }
  }
}

/** That were brought by content messages. */
export function transactionsIn(messages: readonly Message[]): number {
  let count = 0
  for (const message of messages)
    if (message.action === 'content') for (const { transactions } of message.runs) count += transactions.length
  return count
}

/** `length` transactions of `bytes` bytes, the first of which are filled with `from`, `from + 1`, … */
export function filled(length: number, bytes: number, from = 0): Uint8Array[] {
  return Array.from({ length }, (_, index) => new Uint8Array(bytes).fill(from + index))
}

/** Of document `note`; a header of `header` zero bytes. */
export function note(header: number | undefined, ...runs: Append['runs']): Append {
  return {
    id: 'note',
    kind: 'bytes',
    priority: 3,
    ...(header !== undefined && { header: new Uint8Array(header) }),
    runs,
  }
}

export function run(session: string, transactions: readonly Uint8Array[], after = 0): Append['runs'][number] {
  return { session, after, transactions }
}

/** Sessions of `note`. */
export async function sessionsIn(storage: Storage): Promise<Record<string, number>> {
  return Object.fromEntries((await storage.knownStates(['note']))[0]?.known.sessions ?? [])
}

/** How a content ended: `headerRefused`, or session → why and what is there of it. */
export function refusals(result: unknown): unknown {
  if (!(result instanceof Object && 'refused' in result)) throw new Error('it failed')
  if ('headerRefused' in result) return result.headerRefused
  const refused = result.refused as ReadonlyMap<string, { why: string; have: number }>
  return Object.fromEntries([...refused].map(([session, { why, have }]) => [session, `${why} ${have}`]))
}
