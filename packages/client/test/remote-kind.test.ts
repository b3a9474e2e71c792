/**
 * A server as a layer does not say of which kind a document is: what is told, and to whom it matters.
 */
import { EMPTY } from '@tidemark/known-state'
import { tidemarkJson } from '@tidemark/protocol'
import { type LayersEvent, layers } from '@tidemark/reconciliation/layers'
import { type Append, type Storage, StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { durable } from './durable.ts'
import { far } from './far.ts'

const utf8 = new TextEncoder()

function content(kind: Append['kind'], after: number, until: number): Append {
  const transactions = Array.from({ length: until - after }, (_, at) => utf8.encode(`"s ${after + at}"`))
  const runs = until > after ? [{ session: 's', after, transactions }] : []
  return { id: 'note', kind, priority: 3, runs, ...(after === 0 && { header: utf8.encode('{}') }) }
}

async function over(near: Storage, remote: Storage, limits = {}) {
  const both = [
    { storage: near, name: 'near' },
    { storage: remote, name: 'far', remote: true },
  ]
  const all = layers(both, { limits })
  const events: LayersEvent[] = []
  all.listen((event) => events.push(event))
  await all.open()
  return { all, forks: () => events.filter(({ kind }) => kind === 'fork') }
}

/** What a write says, and what near and far have then. */
async function outcome(all: Awaited<ReturnType<typeof over>>['all'], one: Append) {
  const [result] = await all.append([one])
  await all.whenSettled()
  if (result === undefined || 'failed' in result) throw new Error('it failed')
  return result.headerRefused ?? result.state?.known.sessions.get('s')
}

test.each([
  ['header first, on both sides', 'none', 'none'],
  ['the far server has the header alone', 'all', 'header'],
  ['the near layer has the header alone', 'header', 'all'],
] as const)('a document of JSON is no fork of itself where a server says no kind: %s', async (_, nearHas, farHas) => {
  const f = await far(tidemarkJson)
  const near = durable()
  for (const [storage, has] of [
    [near, nearHas],
    [f.data, farHas],
  ] as const)
    if (has !== 'none') await storage.append([content('json', 0, has === 'all' ? 2 : 0)])
  const { all, forks } = await over(near, f.remote)
  if (nearHas === 'none') await outcome(all, content('json', 0, 0))
  await all.knownStates(['note'])
  if (nearHas === 'none') await outcome(all, content('json', 0, 2))
  expect(await outcome(all, content('json', 2, 3))).toBe(3)
  for (const storage of [near, f.data])
    await expect.poll(async () => (await storage.knownStates(['note']))[0]?.known.sessions.get('s')).toBe(3)
  expect(forks()).toEqual([])
  await all.close()
  await f.close()
})

/** A server whose storage has two disks, one of which missed what was written last: it acknowledges less than it holds, without digests. */
async function behind() {
  const [first, second] = [durable(), durable()]
  const { append } = second
  const disk = { isFull: false }
  second.append = (batch, options) => {
    if (disk.isFull && batch.length > 0) throw new StorageError('QUOTA', 'full')
    return append(batch, options)
  }
  const both = layers([first, second])
  const f = await far(tidemarkJson, {}, undefined, () => ({ storage: both }))
  await both.append([content('bytes', 0, 2)])
  disk.isFull = true
  await expect(both.append([content('bytes', 2, 3)])).rejects.toThrow('layer 2 did not')
  return { f, disk }
}

test('a document of bytes is no fork of itself while a disk of the far server is behind', async () => {
  const { f, disk } = await behind()
  const near = durable()
  await near.append([content('bytes', 0, 3)])
  const { all, forks } = await over(near, f.remote)
  await all.knownStates(['note'])
  disk.isFull = false
  expect(await outcome(all, content('bytes', 3, 4))).toBe(4)
  expect(forks()).toEqual([])
  await all.close()
  await f.close()
})

test('a page says of which kind it is where the server that alone has the document did not', async () => {
  const { f } = await behind()
  const { all } = await over(durable(), f.remote)
  const page = await all.read('note', EMPTY, { bytesMax: 10_000 })
  expect([page?.kind, page?.runs.length]).toEqual(['bytes', 1])
  await all.close()
  await f.close()
})

test.each(['a read', 'a repair'])(
  'a far document of another kind, which its server did not say, is a fork: %s finds it',
  async (how) => {
    const { f } = await behind()
    const near = durable()
    await near.append([content('json', 0, how === 'a read' ? 1 : 4)])
    const { all, forks } = await over(near, f.remote)
    if (how === 'a repair') {
      await all.knownStates(['note'])
      await all.whenSettled()
    } else {
      const page = await all.read('note', { header: true, sessions: new Map([['s', 1]]) }, { bytesMax: 10_000 })
      expect(page?.runs).toEqual([])
    }
    expect(forks()).toEqual([{ kind: 'fork', id: 'note', session: undefined, layers: ['near', 'far'] }])
    expect(await outcome(all, { ...content('json', 4, 5) })).toBe('fork')
    await all.close()
    await f.close()
  },
)

test('a server refuses no content because of a kind that its storage only guessed', async () => {
  const f = await far(tidemarkJson)
  await f.data.append([content('bytes', 0, 0)])
  const { all } = await over(durable(), f.remote, { repairsMax: 0 })
  const middle = await far(tidemarkJson, {}, undefined, () => ({ storage: all }))
  const [result] = await middle.remote.append([content('bytes', 0, 2)])
  expect(result).toMatchObject({ state: { known: { sessions: new Map([['s', 2]]) } }, refused: new Map() })
  await middle.close()
  await f.close()
})
