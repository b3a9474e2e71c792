/**
 * What a layer brings is owed to the upstream, and no crash makes anybody forget it: it is stored together with its mark.
 */
import { tidemarkJson } from '@tidemark/protocol'
import { layers } from '@tidemark/reconciliation/layers'
import { type Append, memoryStorage, type Storage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { jsonPayload } from '../src/index.ts'
import { rest } from './clock.ts'
import { createWorld, keptOpen, replaced } from './world.ts'

const OUTBOX = 'tidemark outbox '
const offline = () => Promise.reject(new Error('offline'))

function note(...sessions: readonly string[]): Append {
  const runs = sessions.map((session) => ({ session, after: 0, transactions: [jsonPayload(session)] }))
  return { id: 'note', kind: 'json', priority: 3, header: jsonPayload({}), runs }
}

const heldBy = async (storage: Storage, session: string) =>
  (await storage.knownStates(['note']))[0]?.known.sessions.get(session)

/** Layers of one machine, which can be stopped. */
function createMachine() {
  const state = { isDead: false, stopsWhen: (_layer: string, _batch: readonly Append[]): boolean => false }
  function disk(name: string, content: Append) {
    const real = memoryStorage()
    const opened = { ...real.open(), level: 'durable' as const }
    real.append([content])
    const open = () =>
      replaced(keptOpen(real), {
        open: () => opened,
        append(batch, options) {
          if (state.isDead) return new Promise(() => {})
          state.isDead = state.stopsWhen(name, batch)
          return real.append(batch, options)
        },
      })
    return { real, open }
  }
  return { state, a: disk('a', note('s')), b: disk('b', note('s', 't')) }
}

test.each(['attached', 'given at the start'])(
  'a machine that dies with the commit that brings something home has its mark (a layer that is %s)',
  async (how) => {
    const held = memoryStorage()
    const world = await createWorld(tidemarkJson, { storage: keptOpen(held) })
    const { state, a, b } = createMachine()
    const one = { storage: a.open(), name: 'a' }
    const both = () =>
      layers(
        [
          { storage: a.open(), name: 'a' },
          { storage: b.open(), name: 'b' },
        ],
        { clock: world.clock },
      )
    const first = await world.client({ storage: layers([one], { clock: world.clock }) })
    await world.clock.advance(60_000)
    await first.client.whenUploaded()
    const closing = first.client.close()
    await world.clock.advance(1_000)
    await closing
    state.stopsWhen = (layer, batch) => layer === 'a' && batch.length > 0
    const whole = how === 'attached' ? layers([one], { clock: world.clock }) : both()
    void world.client({ storage: whole, connect: offline })
    await rest()
    if (how === 'attached') void whole.attach({ storage: b.open(), name: 'b' })
    await world.clock.advance(60_000)
    expect([
      state.isDead,
      await heldBy(a.real, 't'),
      (await a.real.marks({ prefix: OUTBOX, limit: 9 })).length,
    ]).toEqual([true, 1, 1])
    state.isDead = false
    state.stopsWhen = () => false
    const { client } = await world.client({ storage: both() })
    await world.clock.advance(60_000)
    await client.whenUploaded()
    expect(await heldBy(held, 't')).toBe(1)
  },
)
