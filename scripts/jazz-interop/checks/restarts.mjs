/**
 * A server that is restarted, killed, emptied, or restored from an older copy of its file. Needs run.mjs.
 */
import { copyFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openGroup } from '../lib/clients.mjs'
import { eventually, expect, quiet, sleep } from '../lib/expect.mjs'
import { allBatchesAcknowledged, expectAll, makeMaps, stored } from './reconciling.mjs'

const MANY = 3000
// A client that is being asked for thousands of documents pauses; longer than this, and it was forgotten.
const STALL_MS_MAX = 8000

export const restarts = [
  {
    name: 'data-survives-a-restart',
    async run({ signUp, server }) {
      const ann = await signUp('Ann')
      const maps = makeMaps(ann, 20)
      await ann.synced()
      ann.disconnect()
      await server.stop()
      await server.start()
      await expectAll(await signUp('Bob'), maps)
    },
  },
  {
    name: 'acknowledged-survives-a-kill',
    async run({ signUp, server }) {
      const ann = await signUp('Ann')
      const [map] = makeMaps(ann, 1)
      await ann.synced()
      for (let round = 0; round < 5; round += 1) {
        map.set('round', round, 'trusting')
        await ann.synced([map])
        ann.disconnect()
        await server.kill()
        await server.start()
        const reader = await signUp(`Reader ${round}`)
        const copy = await reader.open(map.id)
        expect(copy.get('round') === round, `what was acknowledged in round ${round} is gone`)
        ann.connect()
      }
    },
  },
  {
    name: 'clients-reconnect-and-go-on',
    async run({ signUp, server }) {
      const [ann, bob] = await Promise.all([signUp('Ann'), signUp('Bob')])
      const [map] = makeMaps(ann, 1)
      await ann.synced()
      const onBob = await bob.open(map.id)
      await server.stop()
      map.set('ann', 1, 'trusting')
      onBob.set('bob', 1, 'trusting')
      await sleep(500)
      await server.start()
      await eventually(
        () => map.get('bob') === 1 && onBob.get('ann') === 1,
        'edits during an outage did not meet',
        15_000,
      )
    },
  },
  {
    name: 'lost-data-comes-back-from-memory',
    async run({ signUp, server }) {
      const ann = await signUp('Ann')
      const maps = makeMaps(ann, 300)
      await ann.synced(undefined, 30_000)
      await emptied(server)
      await reconnected(ann, maps)
      await expectOnServer(server, signUp, ann, maps)
    },
  },
  {
    // Documents that the client put away to its storage, of which it keeps no more than the counts in memory.
    name: 'lost-data-comes-back-from-shells',
    async run({ signUp, server, storageAt }) {
      const ann = await signUp('Ann', { storage: storageAt('ann.db') })
      const maps = makeMaps(ann, MANY)
      await ann.synced(undefined, 60_000)
      await quiet([ann])
      putAway(ann, maps)
      await emptied(server)
      await reconnected(ann, maps)
      await expectOnServer(server, signUp, ann, maps)
    },
  },
  {
    // Documents that the client does not have in memory at all: it only knows them from comparing its storage.
    name: 'lost-data-comes-back-from-storage',
    async run({ signUp, signIn, server, storageAt }) {
      const ann = await signUp('Ann', { storage: storageAt('ann.db') })
      const maps = makeMaps(ann, MANY)
      await ann.synced(undefined, 60_000)
      await stored(ann, maps)
      ann.close()
      await emptied(server)
      const again = await signIn('Ann, restarted', ann, { storage: storageAt('ann.db'), reconcileStorage: true })
      await allBatchesAcknowledged(again, MANY / 100, 60_000)
      await expectOnServer(server, signUp, again, maps)
    },
  },
  {
    name: 'lost-data-comes-back-while-server-is-new-to-all',
    async run({ signUp, server }) {
      const [ann, bob] = await Promise.all([signUp('Ann'), signUp('Bob')])
      const [map] = makeMaps(ann, 1)
      await ann.synced()
      const onBob = await bob.open(map.id)
      onBob.set('bob', 1, 'trusting')
      await bob.synced([onBob])
      await eventually(() => map.get('bob') === 1, "Bob's edit did not arrive")
      await emptied(server)
      await Promise.all([reconnected(ann, [map]), reconnected(bob, [map])])
      map.set('after', 1, 'trusting')
      await eventually(() => onBob.get('after') === 1, 'live edits stopped after the server lost its data')
      await Promise.all([ann.synced([map]), bob.synced([onBob])])
    },
  },
  {
    name: 'older-copy-gets-the-missing-part',
    async run({ signUp, server }) {
      const ann = await signUp('Ann')
      const maps = makeMaps(ann, 20)
      await ann.synced()
      const restore = await backup(server)
      for (const map of maps) map.set('later', 1, 'trusting')
      const added = openGroup(ann).createMap({ index: 0 }, null, 'trusting')
      await ann.synced()
      await restore()
      await reconnected(ann, [...maps, added])
      const bob = await expectOnServer(server, signUp, ann, maps)
      await expectLater(bob, maps)
      await expectAll(bob, [added])
    },
  },
  {
    name: 'older-copy-and-shells',
    async run({ signUp, server, storageAt }) {
      const ann = await signUp('Ann', { storage: storageAt('ann.db') })
      const maps = makeMaps(ann, 300)
      await ann.synced()
      const restore = await backup(server)
      for (const map of maps) map.set('later', 1, 'trusting')
      await ann.synced()
      await quiet([ann])
      putAway(ann, maps)
      await restore()
      await reconnected(ann, maps)
      const bob = await expectOnServer(server, signUp, ann, maps)
      await expectLater(bob, maps)
    },
  },
]

async function expectLater(client, maps) {
  const copies = await Promise.all(maps.map((map) => client.open(map.id)))
  const old = copies.filter((copy) => copy.get('later') !== 1)
  expect(old.length === 0, `what came after the backup is missing in ${old.length} of ${copies.length} documents`)
}

/** Unmounts what the client's garbage collector would unmount after ten idle minutes. */
function putAway(client, maps) {
  for (const map of maps) client.node.getCoValue(map.id).unmount()
  const kept = maps.filter((map) => client.node.getCoValue(map.id).loadingState !== 'garbageCollected')
  expect(kept.length === 0, `the client keeps ${kept.length} documents in memory; the check proves nothing`)
}

/** The server again, on the same port, with nothing. */
async function emptied(server) {
  await server.stop()
  for (const file of await files(server)) await rm(join(server.folder, file))
  await server.start()
}

/** Copies the server's file; answers what restores that copy later. */
async function backup(server) {
  await server.stop()
  const saved = await files(server)
  for (const file of saved) await copyFile(join(server.folder, file), join(server.folder, `saved-${file}`))
  await server.start()
  return async () => {
    await server.stop()
    for (const file of await files(server)) await rm(join(server.folder, file))
    for (const file of saved) await copyFile(join(server.folder, `saved-${file}`), join(server.folder, file))
    await server.start()
  }
}

/** The server's file with what belongs to it (a journal, a write-ahead log). */
const files = async (server) => (await readdir(server.folder)).filter((file) => file.startsWith(server.file))

/** The client is connected again, and the server has said of each document that it holds all that the client holds. */
async function reconnected(client, maps) {
  const open = () => Object.values(client.node.syncManager.peers).some((peer) => !peer.closed)
  await eventually(open, `${client.name} did not reconnect`, 15_000)
  let best = -1
  let since = Date.now()
  for (;;) {
    const acknowledged = acknowledgedAgain(client, maps)
    if (acknowledged === maps.length) return
    if (acknowledged > best) since = Date.now()
    best = Math.max(best, acknowledged)
    const stalled = Date.now() - since > STALL_MS_MAX
    expect(!stalled, `after the reconnect, the server acknowledged ${best} of ${maps.length} documents, then no more`)
    await sleep(100)
  }
}

/** Counts the documents of which the server, on the newest connection, claims at least what the client holds. */
function acknowledgedAgain(client, maps) {
  const { messages, sockets } = client.wire
  const claimed = new Map()
  for (const message of messages) {
    if (message.socket !== sockets || message.from !== 'server' || message.action !== 'known') continue
    claimed.set(message.id, { ...claimed.get(message.id), ...message.sessions })
  }
  const held = (map) => Object.entries(client.node.getCoValue(map.id).knownState().sessions)
  return maps.filter((map) => held(map).every(([session, count]) => claimed.get(map.id)?.[session] >= count)).length
}

/** A newcomer finds all of it, with its last owner disconnected: it is on the server. */
async function expectOnServer(server, signUp, owner, maps) {
  owner.disconnect()
  // Only what the server has on disk counts.
  await server.stop()
  await server.start()
  const reader = await signUp('Reader')
  await expectAll(reader, maps)
  return reader
}
