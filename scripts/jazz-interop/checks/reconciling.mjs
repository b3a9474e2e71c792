/**
 * Bulk comparison: a client tells the server about everything in its storage, a hundred documents at a time.
 */
import { cojsonInternals } from 'cojson'
import { openGroup } from '../lib/clients.mjs'
import { eventually, expect, quiet, sleep } from '../lib/expect.mjs'
import { forgetUnsynced } from '../lib/storage.mjs'
import { contents, summary, transactionsIn } from '../lib/wire.mjs'

// Once in thirty days is what a client does by itself; here it is due at every connect.
cojsonInternals.setStorageReconciliationInterval(0)

export const reconciling = [
  {
    name: 'reconcile-equal-batches',
    async run({ signUp, signIn, storageAt }) {
      const ann = await signUp('Ann', { storage: storageAt('ann.db') })
      makeMaps(ann, 250)
      await ann.synced(undefined, 30_000)
      await sleep(400)
      ann.close()
      const again = await signIn('Ann, restarted', ann, { storage: storageAt('ann.db'), reconcileStorage: true })
      await allBatchesAcknowledged(again, 3)
      const sent = again.wire.messages.filter((message) => transactionsIn([message]) > 0)
      expect(sent.length === 0, `nothing was missing, but content moved: ${summary(sent)}`)
    },
  },
  {
    name: 'reconcile-uploads-what-only-the-client-has',
    async run({ signUp, signIn, storageAt }) {
      const ann = await signUp('Ann', { storage: storageAt('ann.db'), connected: false })
      const maps = makeMaps(ann, 250)
      await stored(ann, maps)
      ann.close()
      forgetUnsynced(storageAt.path('ann.db'))
      const again = await signIn('Ann, restarted', ann, { storage: storageAt('ann.db'), reconcileStorage: true })
      await allBatchesAcknowledged(again, 3)
      const bob = await signUp('Bob')
      await expectAll(bob, maps)
    },
  },
  {
    name: 'reconcile-downloads-what-the-client-lacks',
    async run({ signUp, signIn, storageAt }) {
      const ann = await signUp('Ann', { storage: storageAt('ann.db') })
      const maps = makeMaps(ann, 20)
      await ann.synced()
      const bob = await signUp('Bob')
      const onBob = await bob.open(maps[7].id)
      await sleep(400)
      ann.close()
      onBob.set('later', 1, 'trusting')
      await bob.synced([onBob])
      const again = await signIn('Ann, restarted', ann, { storage: storageAt('ann.db'), reconcileStorage: true })
      await allBatchesAcknowledged(again, 1)
      const pushed = () => contents(again.wire.messages, 'server').some((message) => message.id === maps[7].id)
      await eventually(pushed, 'the server saw a difference, but sent nothing')
      const copy = await again.open(maps[7].id)
      await eventually(() => copy.get('later') === 1, 'what the client lacked did not arrive')
    },
  },
]

/** Maps that anybody may read; their creator need not be asked for keys. */
export function makeMaps(client, count) {
  const group = openGroup(client)
  return Array.from({ length: count }, (_, index) => group.createMap({ index }, null, 'trusting'))
}

export async function stored(client, documents) {
  await Promise.all(documents.map((document) => client.node.syncManager.waitForStorageSync(document.id)))
  // The list of what is not uploaded is written with a delay.
  await sleep(400)
}

/** Every batch that the client sent has been acknowledged, none had more than a hundred entries, and no more follow. */
export async function allBatchesAcknowledged(client, least, timeoutMs = 20_000) {
  const batches = () => client.wire.messages.filter((message) => message.action === 'reconcile')
  const acknowledged = (batch) =>
    client.wire.messages.some((message) => message.action === 'reconcile-ack' && message.id === batch.id)
  const progress = () => `${batches().filter(acknowledged).length} of at least ${least} batches were acknowledged`
  await eventually(() => batches().length >= least && batches().every(acknowledged), progress, timeoutMs)
  await quiet([client])
  expect(batches().every(acknowledged), progress())
}

/** `client` can open all of `maps`, a window at a time as a real application would. */
export async function expectAll(client, maps) {
  for (let at = 0; at < maps.length; at += 200) {
    const copies = await Promise.all(maps.slice(at, at + 200).map((map) => client.node.load(map.id, true)))
    const missing = copies.filter((copy, offset) => copy === 'unavailable' || copy.get('index') !== at + offset)
    expect(
      missing.length === 0,
      `${missing.length} of ${copies.length} documents are not on the server (from number ${at})`,
    )
  }
}
