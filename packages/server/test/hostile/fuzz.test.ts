/**
 * 20,000 inputs of bad clients in every dialect, over sockets; `pnpm long` sends a million. A failure prints its seed.
 */
import { dialects, jazzDependencies, jazzIsTombstone } from '@tidemark/protocol'
import { expect, test } from 'vitest'
import { metric, until, withServer } from '../help.ts'
import { fuzz } from './fuzz.ts'

const INPUTS = process.env.TIDEMARK_LARGE ? 1_000_000 : 20_000
const seed = Number(process.env.TIDEMARK_SEED ?? 20_261)
const hooks = { dependenciesOf: jazzDependencies, isTombstone: jazzIsTombstone }
/** Ends that say what a client did wrong, its own end, and nothing else: 1011 would be a bug of ours. */
const EXPECTED_CODES = ['1000', '1002', '1007', '1008', '1009']

for (const dialect of dialects) {
  const share = Math.ceil(INPUTS / dialects.length)
  const title = `${dialect.name}: ${share} bad inputs cost only their senders; an honest client is served throughout`
  test(title, { timeout: share * 20 + 60_000 }, () => {
    const errors: unknown[] = []
    const log = (level: string, message: string, facts: unknown) => {
      if (level === 'error') errors.push([message, facts])
    }
    return withServer({ hooks, log }, async ({ url, server }) => {
      const result = await fuzz({ url, dialect, seed, inputs: share }).catch((cause) => {
        throw new Error(`seed ${seed}: ${cause.message}`, { cause })
      })
      expect(errors).toEqual([])
      expect(EXPECTED_CODES).toEqual(expect.arrayContaining(Object.keys(result.closes)))
      expect(result.acknowledged).toBe(result.connections)
      // Nothing of any of them stays, and what they sent was judged.
      await until('all have gone', () => server.health().connections === 0)
      expect(server.health()).toMatchObject({ status: 'ok', documents: 0, subscriptions: 0, queued: 0 })
      const numbers = server.metrics() ?? ''
      expect(metric(numbers, 'tidemark_pending_bytes')).toBe(0)
      // A damaged frame of bytes often ends the connection, and what was sent behind it is not heard.
      const least = dialect.text ? share / 20 : share / 50
      expect(metric(numbers, 'tidemark_messages_malformed_total{code="malformed"}')).toBeGreaterThan(least)
      expect(metric(numbers, 'tidemark_messages_received_total{action="content"}')).toBeGreaterThan(least)
      expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    })
  })
}
