/**
 * Fuzzing a server over a socket: bad clients say anything, and an honest one is served throughout.
 */
import type { Dialect } from '@tidemark/protocol'
import { pause, untilAtOnce } from '../help.ts'
import { type AnyClient, anyClient, bystander } from './clients.ts'
import { createInputs, seeded } from './inputs.ts'

export interface FuzzOptions {
  readonly url: string
  readonly dialect: Dialect
  readonly seed: number
  readonly inputs: number
  /** Told every so often how many inputs were sent. */
  progress?(sent: number): void
}

export interface FuzzResult {
  readonly inputs: number
  readonly connections: number
  /** How bad clients were closed, by code. */
  readonly closes: Readonly<Record<string, number>>
  /** Transactions of the honest client, each acknowledged before the next was written. */
  readonly acknowledged: number
}

/** A client that is not closed for what it says leaves by itself after this. */
const INPUTS_PER_CONNECTION = 400
const INPUTS_PER_ANSWER = 40

export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { url, dialect, seed, inputs } = options
  const random = seeded(seed)
  const honest = await bystander(url, dialect, 'co_zHonest', 'sealer_zKey/signer_zKey_session_zHonest')
  const closes: Record<string, number> = {}
  let sent = 0
  let connections = 0
  while (sent < inputs) {
    connections += 1
    const client = await anyClient(url, dialect, `${seed} ${connections}`)
    const next = createInputs(dialect, client.codec, random)
    for (let count = 0; count < INPUTS_PER_CONNECTION && sent < inputs && client.ended === undefined; count++) {
      client.send(next())
      sent += 1
      if (count % INPUTS_PER_ANSWER === INPUTS_PER_ANSWER - 1) await answered(client, `co_zProbe${sent}`)
    }
    await answered(client, `co_zLast${sent}`)
    if (client.ended === undefined) client.close()
    const code = client.ended?.code ?? 1000
    closes[code] = (closes[code] ?? 0) + 1
    await honest.writeOne()
    options.progress?.(sent)
  }
  const { acknowledged } = honest
  honest.close()
  await pause(10)
  return { inputs: sent, connections, closes, acknowledged }
}

/** The server is through with what was said, because it answers what was said last, or ended it. */
async function answered(client: AnyClient, id: string): Promise<void> {
  if (client.ended !== undefined) return
  client.heard.length = 0
  client.say({ action: 'load', id, known: { header: false, sessions: new Map() } })
  await untilAtOnce(`an answer about ${id}, or the end`, () => {
    return client.ended !== undefined || client.heard.some((message) => 'id' in message && message.id === id)
  })
  client.heard.length = 0
}
