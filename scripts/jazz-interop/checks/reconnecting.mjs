/**
 * Coming back: what a reconnect or a restart of the client costs, and what a connection keeps while nothing happens.
 */
import { heldBy, openGroup } from '../lib/clients.mjs'
import { eventually, expect, quiet, sleep } from '../lib/expect.mjs'
import { contents, ofDocument, summary, transactionsIn } from '../lib/wire.mjs'

export const reconnecting = [
  {
    name: 'late-upload-reaches-first-requester',
    async run({ signUp }) {
      const ann = await signUp('Ann', { connected: false })
      const map = openGroup(ann).createMap()
      map.set('late', true)
      const bob = await signUp('Bob')
      await bob.synced()
      expect((await bob.node.load(map.id, true)) === 'unavailable', 'the server knows a document that nobody uploaded')
      const mark = bob.wire.messages.length
      ann.connect()
      await ann.synced()
      const onBob = await eventually(() => bob.node.getLoaded(map.id), 'a late upload did not reach who asked first')
      await eventually(() => onBob.get('late') === true, 'a late upload arrived incompletely')
      const asked = ofDocument(bob.wire.since(mark), map.id).filter((message) => message.action === 'load')
      expect(asked.length === 0, 'the first requester had to ask again')
    },
  },
  {
    name: 'idle-client-stays-connected',
    async run({ signUp }) {
      const [ann, bob] = await Promise.all([signUp('Ann'), signUp('Bob')])
      const map = openGroup(ann).createMap()
      map.set('n', 0)
      await ann.synced()
      const onBob = await bob.open(map.id)
      // A client gives a silent connection up after ten seconds.
      await sleep(13_000)
      expect(ann.wire.sockets === 1 && bob.wire.sockets === 1, 'an idle client lost its connection')
      map.set('n', 1)
      await eventually(() => onBob.get('n') === 1, 'an edit after a pause did not arrive')
    },
  },
  {
    name: 'up-to-date-reconnect-is-free',
    async run({ signUp }) {
      const { bob, documents } = await annAndBob(signUp)
      await quiet([bob])
      bob.disconnect()
      await sleep(100)
      const mark = bob.wire.messages.length
      bob.connect()
      await answered(bob, documents, mark)
      expectNoContent(bob, mark)
    },
  },
  {
    name: 'up-to-date-restart-is-free',
    async run({ signUp, signIn, storageAt }) {
      const { bob, documents } = await annAndBob(signUp, { storage: storageAt('bob.db') })
      await quiet([bob])
      bob.close()
      const again = await signIn('Bob, restarted', bob, { storage: storageAt('bob.db') })
      await Promise.all(documents.map((document) => again.open(document.id)))
      await answered(again, documents, 0)
      expectNoContent(again, 0)
    },
  },
  {
    // Of a document that was put away, a client first loads a part when it is asked about the end of it. That part is not a
    // hole: what it holds in its storage must not be sent again.
    name: 'put-away-large-document-is-not-sent-again',
    async run({ signUp, storageAt }) {
      const ann = await signUp('Ann', { storage: storageAt('ann.db') })
      const map = openGroup(ann).createMap()
      for (let index = 0; index < 2000; index += 1) {
        map.set(`key${index}`, 'x'.repeat(1000), 'trusting')
        if (index % 20 === 0) await sleep(0)
      }
      await ann.synced([map], 30_000)
      await quiet([ann])
      ann.node.getCoValue(map.id).unmount()
      ann.disconnect()
      await sleep(100)
      const { loadingState } = ann.node.getCoValue(map.id)
      expect(
        loadingState === 'garbageCollected',
        `the client has the document ${loadingState}; the check proves nothing`,
      )
      const mark = ann.wire.messages.length
      ann.connect()
      await answered(ann, [map], mark)
      // A server may take its time before it acts on a suspicion.
      await quiet([ann], 3000)
      const received = transactionsIn(contents(ofDocument(ann.wire.since(mark), map.id), 'server'))
      expect(received < 400, `nothing was missing, but ${received} transactions were sent`)
    },
  },
  {
    // An answer with content alone makes a restarted client upload the whole document: it does not know yet what we hold.
    name: 'restarted-behind-gets-only-the-rest',
    async run({ signUp, signIn, storageAt }) {
      const { ann, bob, map } = await bobWroteToo(signUp, storageAt)
      map.set('later', 1, 'trusting')
      await ann.synced([map])
      const again = await signIn('Bob, restarted', bob, { storage: storageAt('bob.db') })
      const copy = await again.open(map.id)
      await eventually(() => copy.get('later') === 1, 'what was missed did not arrive')
      await quiet([again])
      expectCrossings(again, map, { up: 0, down: 1 })
    },
  },
  {
    name: 'both-behind-each-crosses-once',
    async run({ signUp, signIn, storageAt }) {
      const { ann, bob, map } = await bobWroteToo(signUp, storageAt)
      const offline = await signIn('Bob, offline', bob, { storage: storageAt('bob.db'), connected: false })
      const copy = await offline.open(map.id)
      for (let index = 0; index < 3; index += 1) copy.set(`offline${index}`, index, 'trusting')
      await offline.node.syncManager.waitForStorageSync(map.id)
      offline.close()
      map.set('later', 1, 'trusting')
      await ann.synced([map])
      const again = await signIn('Bob, restarted', bob, { storage: storageAt('bob.db') })
      const merged = await again.open(map.id)
      await eventually(
        () => map.get('offline2') === 2 && merged.get('later') === 1,
        'both sides were behind and stayed so',
      )
      await again.synced([merged])
      await quiet([again, ann])
      // One sealed run more may cross, as proof of continuity.
      expectCrossings(again, map, { up: 6, down: 1 })
    },
  },
  {
    name: 'restart-uploads-what-was-left',
    async run({ signUp, signIn, storageAt }) {
      const { ann, bob, map } = await bobWroteToo(signUp, storageAt)
      const offline = await signIn('Bob, offline', bob, { storage: storageAt('bob.db'), connected: false })
      const copy = await offline.open(map.id)
      copy.set('offline', 1, 'trusting')
      const created = copy.group.createMap({ made: 'offline' }, null, 'trusting')
      await offline.node.syncManager.waitForStorageSync(created.id)
      // The list of what is not uploaded is written with a delay.
      await sleep(400)
      offline.close()
      await signIn('Bob, restarted', bob, { storage: storageAt('bob.db') })
      await eventually(() => map.get('offline') === 1, 'an offline edit was not taken up after a restart')
      const onAnn = await ann.open(created.id)
      expect(onAnn.get('made') === 'offline', 'a document made offline did not arrive')
    },
  },
]

/** Ann and Bob, up to date with the same few documents. */
async function annAndBob(signUp, bobsOptions = {}) {
  const ann = await signUp('Ann')
  const bob = await signUp('Bob', bobsOptions)
  const group = openGroup(ann)
  const maps = Array.from({ length: 5 }, (_, index) => group.createMap({ index }, null, 'trusting'))
  await ann.synced()
  const copies = await Promise.all(maps.map((map) => bob.open(map.id)))
  copies[0].set('seen', true)
  await bob.synced()
  await eventually(() => maps[0].get('seen') === true, "Bob's edit did not arrive")
  return { ann, bob, documents: maps }
}

/** Both wrote to a map; then Bob's process ended, and only his storage is left. */
async function bobWroteToo(signUp, storageAt) {
  const ann = await signUp('Ann')
  const bob = await signUp('Bob', { storage: storageAt('bob.db') })
  const map = openGroup(ann).createMap()
  for (let index = 0; index < 10; index += 1) map.set(`ann${index}`, index, 'trusting')
  await ann.synced()
  const copy = await bob.open(map.id)
  for (let index = 0; index < 10; index += 1) copy.set(`bob${index}`, index, 'trusting')
  await bob.synced()
  await eventually(() => map.get('bob9') === 9, "Bob's edits did not arrive")
  await quiet([ann, bob])
  // The list of what is not uploaded is written with a delay.
  await sleep(400)
  bob.close()
  expect(heldBy(ann, map.id) === 20, 'the map is not complete')
  return { ann, bob, map }
}

async function answered(client, documents, mark) {
  const answers = () =>
    client.wire.since(mark).filter((message) => message.from === 'server' && message.action === 'known')
  const all = () => documents.every((document) => answers().some((answer) => answer.id === document.id))
  await eventually(all, 'a LOAD was not answered')
  await quiet([client])
}

function expectNoContent(client, mark) {
  const moved = client.wire.since(mark).filter((message) => transactionsIn([message]) > 0 || message.header?.type)
  expect(moved.length === 0, `nothing was missing, but content moved: ${summary(moved)}`)
}

function expectCrossings(client, document, most) {
  const messages = ofDocument(client.wire.messages, document.id)
  const up = transactionsIn(contents(messages, 'client'))
  const down = transactionsIn(contents(messages, 'server'))
  const detail = `${up} transactions went up (at most ${most.up}), ${down} came down (at most ${most.down}): ${summary(messages)}`
  expect(up <= most.up && down <= most.down, detail)
}
