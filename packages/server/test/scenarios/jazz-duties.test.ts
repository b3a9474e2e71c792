/**
 * Duties of a drop-in server for Jazz clients, over real sockets and SQLite, with the hooks that the command uses.
 */
import { join } from 'node:path'
import { jazzDependencies, jazzIsTombstone } from '@tidemark/protocol'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { expect, test, vi } from 'vitest'
import { reconcileHash } from '../../src/index.ts'
import { until, type World, withFolder, withServer } from '../help.ts'
import { content, doc, header, jazzClient, known, type Line, load, received, session } from '../jazz.ts'

vi.setConfig({ testTimeout: 30_000 })

const hooks = { dependenciesOf: jazzDependencies, isTombstone: jazzIsTombstone }

function withJazzServer(use: (world: World) => Promise<void>): Promise<void> {
  return withFolder((folder) => withServer({ storage: sqliteStorage({ path: join(folder, 'store.db') }), hooks }, use))
}

test('a reconcile batch is compared by hash: what is equal costs nothing, what differs is asked for, then it is acknowledged', () =>
  withJazzServer(async (world) => {
    const trace: string[] = []
    const client = await jazzClient(world.url, 'C', trace)
    client.say(content('same', 'a', 0, 3), content('behind', 'a', 0, 3))
    await client.hears(2)
    trace.length = 0
    const hash = (counts: Record<string, number>) => reconcileHash(new Map(Object.entries(counts)))
    const batch = (id: string, ...values: [string, string][]): Line => ({ action: 'reconcile', id, values })
    client.say(batch('b1', [doc('same'), hash({ [session('a')]: 3 })]))
    await client.hears(3)
    client.say(
      batch(
        'b2',
        [doc('same'), hash({ [session('a')]: 3 })],
        [doc('behind'), hash({ [session('a')]: 5 })],
        [doc('lost'), hash({ [session('a')]: 2 })],
      ),
    )
    await client.hears(5)
    client.say(content('behind', 'a', 3, 5, false), content('lost', 'a', 0, 2))
    await client.hears(8)
    expect(trace).toEqual([
      'C>S reconcile b1',
      'S>C reconcile-ack b1',
      'C>S reconcile b2',
      'S>C LOAD behind=a:3',
      'S>C LOAD lost=∅',
      'C>S CONTENT behind a:3+2',
      'C>S CONTENT lost header a:0+2',
      'S>C KNOWN behind=a:5',
      // Both are durable by then; which is said first does not matter.
      ...['S>C KNOWN lost=a:2', 'S>C reconcile-ack b2'].sort((x, y) => trace.indexOf(x) - trace.indexOf(y)),
    ])
    await client.close()
  }))

test('a deleted document keeps its header and its tombstone, and covers every claim', () =>
  withJazzServer(async (world) => {
    const writer = await jazzClient(world.url)
    writer.say(content('note', 'a', 0, 3))
    await writer.hears(1)
    const grave = 'sealer_zKey/signer_zKey_session_dQ$'
    const tombstone = { privacy: 'trusting', madeAt: 1, changes: '[]', meta: JSON.stringify({ deleted: doc('note') }) }
    writer.say({
      action: 'content',
      id: doc('note'),
      priority: 3,
      new: { [grave]: { after: 0, newTransactions: [tombstone], lastSignature: 'signature_zd' } },
    })
    await until('its acknowledgement', () => writer.heard.some(({ sessions }) => sessions?.[grave] === 1))
    await writer.close()

    const reader = await jazzClient(world.url)
    reader.say(load('note'))
    await until('what is left', () => received(reader, 'note').has(grave))
    expect([...received(reader, 'note')]).toEqual([[grave, [tombstone]]])
    expect(reader.heard.find(({ action }) => action === 'content')?.header).toEqual(header('note'))
    await reader.close()

    const late = await jazzClient(world.url)
    late.say(load('note', { a: 5 }))
    await until('an answer', () => late.heard.some(({ action }) => action === 'known'))
    expect(late.heard.some(({ action }) => action === 'load')).toBe(false)
    expect(late.heard.find(({ action }) => action === 'known')?.sessions).toMatchObject({ [session('a')]: 5 })
    await late.close()
  }))

test('the group that owns a document arrives before it', () =>
  withJazzServer(async (world) => {
    const owned = {
      ...content('list', 'a', 0, 1),
      header: { ...(header('list') as object), ruleset: { type: 'ownedByGroup', group: doc('group') } },
    }
    const writer = await jazzClient(world.url)
    writer.say(content('group', 'a', 0, 1), owned)
    await writer.hears(2)
    await writer.close()
    const trace: string[] = []
    const reader = await jazzClient(world.url, 'R', trace)
    reader.say(load('list'))
    await reader.hears(2)
    expect(trace).toEqual(['R>S LOAD list=∅', 'S>R CONTENT group header a:0+1', 'S>R CONTENT list header a:0+1'])
    await reader.close()
  }))

test('a download that a disconnect cut is completed: the claim of its announced end is probed, not believed', () =>
  withJazzServer(async (world) => {
    const writer = await jazzClient(world.url)
    for (let after = 0; after < 1_500; after += 100) writer.say(content('long', 'a', after, after + 100))
    await until('all of it', () => writer.heard.some(({ sessions }) => sessions?.[session('a')] === 1_500))
    await writer.close()

    const client = await jazzClient(world.url)
    client.say(load('long', { a: 1_500 }))
    await until('a probe', () => client.heard.some(({ action }) => action === 'content'))
    const probe = client.heard.find(({ action }) => action === 'content')
    expect(probe?.new).toMatchObject({ [session('a')]: { after: 1_500, newTransactions: [] } })
    const correction = { ...known('long', { a: 700 }), isCorrection: true }
    client.say(correction)
    // A client that is still loading from its own storage corrects itself too: it is asked once more before it is believed.
    await until('a second probe', () => client.heard.filter(({ action }) => action === 'content').length === 2)
    client.say(correction)
    await until('the rest', () => {
      const last = client.heard.at(-1)?.new?.[session('a')]
      return (
        (last?.after ?? 0) + (last?.newTransactions.length ?? 0) === 1_500 && (last?.newTransactions.length ?? 0) > 0
      )
    })
    expect(
      client.heard.find((line) => (line.new?.[session('a')]?.newTransactions.length ?? 0) > 0)?.new?.[session('a')]
        ?.after,
    ).toBe(700)
    await client.close()
  }))
