/**
 * Layers that are taken out: nothing of them stays.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { type Layers, layers } from '../../src/layers.ts'
import { content, disk, held, manualClock, passing, settled } from './world.ts'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** Twice: a collection that was under way keeps what was still held when it began. */
function collect() {
  gc()
  gc()
}

const clock = manualClock()

/** Attaches a store, has a document brought to it, and takes it out again. */
async function passThrough(all: Layers, name: string, hangs: boolean): Promise<WeakRef<object>> {
  const on = disk()
  const storage = on.handle()
  await all.attach({ storage, name })
  await passing(clock, all.load('note', { until: 'settled' }))
  const { append } = storage
  if (hangs)
    storage.append = (batch, options) => (options?.marks?.has(name) ? new Promise(() => {}) : append(batch, options))
  const marks = new Map([[name, new Uint8Array([1])]])
  const writing = Promise.resolve(all.append([content(`note of ${name}`, 'a:0-1')], { marks })).catch(() => {})
  await settled()
  expect(held({ disk: on })).toBe('a:2')
  all.detach(name)
  await passing(clock, writing)
  return new WeakRef(storage)
}

test.each([
  [false, 'whatever is remembered of documents and marks'],
  [true, 'also if it owes a commit of marks that never ends'],
])('a layer that was taken out stays in no table (it hangs: %s), %s', async (hangs) => {
  const all = layers([{ storage: disk().handle(), name: 'A' }], { clock })
  await all.open()
  await all.append([content('note', 'a:0-2')])
  const storages: WeakRef<object>[] = []
  for (let count = 0; count < 8; count++) storages.push(await passThrough(all, `B${count}`, hangs))
  await all.knownStates(['note'])
  await clock.advance(3_600_000)
  await settled()
  collect()
  expect(storages.filter((one) => one.deref() !== undefined)).toEqual([])
  await all.close()
})
