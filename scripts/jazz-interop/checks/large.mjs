/**
 * Documents larger than a page: they travel in pieces, each of which the receiver can verify by itself.
 */
import { createHash, randomBytes } from 'node:crypto'
import { heldBy, openGroup } from '../lib/clients.mjs'
import { eventually, expect, quiet, sleep } from '../lib/expect.mjs'
import { contents, ofDocument, summary, transactionsIn } from '../lib/wire.mjs'

const KILOBYTE = 'x'.repeat(1000)
const COUNT = 2000
// No piece needs to be larger than this where the largest sealed run is about 100 KiB.
const PIECE_BYTES_MAX = 512 * 1024

export const large = [
  {
    name: 'large-map-in-pieces',
    async run({ signUp }) {
      const { ann, map } = await withLargeMap(signUp)
      const bob = await signUp('Bob')
      const onBob = await completeCopy(bob, map)
      expectVerifiedPieces(bob, map)
      onBob.set('answer', 1)
      await eventually(() => map.get('answer') === 1, 'a large document cannot be edited by who downloaded it')
      await ann.synced([map])
    },
  },
  {
    name: 'binary-stream',
    async run({ signUp }) {
      const ann = await signUp('Ann')
      const file = randomBytes(2 * 1024 * 1024)
      const stream = openGroup(ann).createBinaryStream()
      stream.startBinaryStream({
        mimeType: 'application/octet-stream',
        fileName: 'two.bin',
        totalSizeBytes: file.length,
      })
      for (let at = 0; at < file.length; at += 100_000) {
        stream.pushBinaryStreamChunk(file.subarray(at, at + 100_000))
        if (at % 500_000 === 0) await sleep(1)
      }
      stream.endBinaryStream()
      await ann.synced([stream], 30_000)
      const bob = await signUp('Bob')
      const onBob = await bob.open(stream.id)
      await eventually(() => onBob.isBinaryStreamEnded(), 'a file did not arrive as a whole', 30_000)
      const digest = (bytes) => createHash('sha256').update(bytes).digest('hex')
      expect(digest(Buffer.concat(onBob.getBinaryChunks().chunks)) === digest(file), 'a file arrived with other bytes')
      expectVerifiedPieces(bob, stream)
    },
  },
  {
    name: 'huge-transaction',
    async run({ signUp }) {
      // Jazz never splits a transaction, and takes up to 1 MiB in one; it then fills a line of its own.
      const ann = await signUp('Ann')
      const map = openGroup(ann).createMap()
      map.set('huge', 'h'.repeat(1_000_000), 'trusting')
      await ann.synced([map], 30_000)
      const bob = await signUp('Bob')
      const onBob = await bob.open(map.id)
      await eventually(() => onBob.get('huge')?.length === 1_000_000, 'a transaction of 1 MB did not arrive', 30_000)
    },
  },
  {
    name: 'burst-of-small-documents',
    async run({ signUp }) {
      // Behind a busy socket a client puts all of these into few, very large frames.
      const ann = await signUp('Ann')
      await ann.synced()
      const group = openGroup(ann)
      const maps = Array.from({ length: 2000 }, (_, index) =>
        group.createMap({ index, text: KILOBYTE }, null, 'trusting'),
      )
      await ann.synced(undefined, 60_000)
      const bob = await signUp('Bob')
      const opened = await Promise.all(maps.filter((_, index) => index % 50 === 0).map((map) => bob.open(map.id)))
      expect(
        opened.every((map, at) => map.get('index') === at * 50),
        'a small document arrived with other content',
      )
    },
  },
  {
    name: 'download-cut',
    async run({ signUp }) {
      const { map } = await withLargeMap(signUp)
      const bob = await signUp('Bob')
      await bob.synced()
      cutFirst(bob, 'cutAfterReceived', (message) => message.action === 'content' && message.id === map.id)
      await completeCopy(bob, map)
      expect(bob.wire.sockets >= 2, 'the download was not cut; the check proves nothing')
    },
  },
  {
    name: 'download-cut-with-storage',
    async run({ signUp, signIn, storageAt }) {
      const { map } = await withLargeMap(signUp)
      const bob = await signUp('Bob', { storage: storageAt('bob.db') })
      await bob.synced()
      cutFirst(bob, 'cutAfterReceived', (message) => message.action === 'content' && message.id === map.id)
      await completeCopy(bob, map)
      await bob.node.syncManager.waitForStorageSync(map.id)
      bob.close()
      const again = await signIn('Bob, restarted', bob, { storage: storageAt('bob.db') })
      await completeCopy(again, map)
    },
  },
  {
    name: 'upload-cut',
    async run({ signUp }) {
      const ann = await signUp('Ann', { connected: false })
      const map = openGroup(ann).createMap()
      await fill(map)
      cutFirst(ann, 'cutAfterSent', (message) => message.action === 'content' && message.id === map.id)
      ann.connect()
      await ann.synced([map], 30_000)
      expect(ann.wire.sockets >= 2, 'the upload was not cut; the check proves nothing')
      const bob = await signUp('Bob')
      await completeCopy(bob, map)
    },
  },
  {
    name: 'large-document-behind',
    async run({ signUp }) {
      const { ann, map } = await withLargeMap(signUp)
      const bob = await signUp('Bob')
      await completeCopy(bob, map)
      bob.disconnect()
      await sleep(100)
      for (let index = 0; index < 20; index += 1) map.set(`late${index}`, KILOBYTE, 'trusting')
      await ann.synced([map])
      const mark = bob.wire.messages.length
      bob.connect()
      const complete = () => heldBy(bob, map.id) === heldBy(ann, map.id)
      await eventually(complete, 'the end of a large document did not arrive after a reconnect')
      await quiet([bob])
      const received = transactionsIn(contents(ofDocument(bob.wire.since(mark), map.id), 'server'))
      // One sealed run of overlap is fair; the whole document is not.
      expect(received < 400, `20 transactions were missing, ${received} were sent`)
    },
  },
]

/** Ann with a map of 2 MB: one half written at once, the other in many small batches, each with a signature of its own. */
async function withLargeMap(signUp) {
  const ann = await signUp('Ann')
  const map = openGroup(ann).createMap()
  await fill(map)
  await ann.synced([map], 30_000)
  return { ann, map }
}

async function fill(map) {
  for (let index = 0; index < COUNT; index += 1) {
    map.set(`key${index}`, KILOBYTE, 'trusting')
    if (index > COUNT / 2 && index % 10 === 0) await sleep(0)
  }
}

/** Opens the document and waits until all of it is there and verified. */
async function completeCopy(client, original) {
  const copy = await client.open(original.id)
  const progress = () => `${client.name} holds ${heldBy(client, original.id)} of ${heldCount(original)} transactions`
  const complete = () => heldBy(client, original.id) === heldCount(original) && !copy.core.isStreaming()
  await eventually(complete, progress, 20_000)
  if (original.type === 'comap') {
    await eventually(() => Object.keys(copy.toJSON()).length >= COUNT, 'transactions arrived but are not readable')
  }
  return copy
}

const heldCount = (content) => Object.values(content.core.knownState().sessions).reduce((sum, count) => sum + count, 0)

/** Every piece was accepted as it came: the client acknowledged each count and corrected nothing. */
function expectVerifiedPieces(client, document) {
  const messages = ofDocument(client.wire.messages, document.id)
  const pieces = contents(messages, 'server')
  expect(pieces.length > 5, `2 MB came in ${pieces.length} pieces`)
  const largest = Math.max(...pieces.map((piece) => piece.bytes))
  expect(largest < PIECE_BYTES_MAX, `a piece has ${largest} bytes`)
  const answers = messages.filter((message) => message.from === 'client' && message.action === 'known')
  expect(!answers.some((answer) => answer.isCorrection), `the client had to correct the server: ${summary(answers)}`)
  for (const piece of pieces) {
    for (const [session, run] of Object.entries(piece.new)) {
      const end = run.after + run.newTransactions.length
      const accepted = answers.some((answer) => answer.sessions[session] === end)
      expect(accepted, `the piece that ends at ${end} was not accepted as it came: it does not end at its signature`)
    }
  }
  expect(document.core.node !== client.node && !isErrored(client, document), 'the client refuses the document')
}

const isErrored = (client, document) =>
  Object.keys(client.node.syncManager.peers).some((peer) => client.node.getCoValue(document.id).isErroredInPeer(peer))

/** Cuts the line once, at the first message that matches. */
function cutFirst(client, hook, matches) {
  client.wire[hook] = (message) => {
    if (!matches(message)) return false
    client.wire[hook] = undefined
    return true
  }
}
