/**
 * One session, two writers: a device restored from a copy of its storage goes on under the same session id as the original.
 *
 * One of the two must lose that session of that document. Nobody else may lose anything.
 */
import { copyFileSync } from 'node:fs'
import { openGroup } from '../lib/clients.mjs'
import { eventually, expect, quiet, sleep } from '../lib/expect.mjs'
import { summary } from '../lib/wire.mjs'

export const forks = [
  {
    name: 'fork-longer-copy-comes-second',
    run: (world) => forked(world, { original: 2, copy: 5 }),
  },
  {
    name: 'fork-shorter-copy-comes-second',
    run: (world) => forked(world, { original: 5, copy: 2 }),
  },
  {
    name: 'fork-while-both-are-connected',
    run: (world) => forked(world, { original: 3, copy: 3, live: true }),
  },
]

/** Original and copy write different transactions at the same place; the original's arrive first. */
async function forked(world, { original, copy, live = false }) {
  const { signUp } = world
  const { ann, bob, map, onBob, first, second } = await twins(world)
  const mapOn = { first: await first.open(map.id), second: await second.open(map.id) }
  if (live) await quiet([first, second])
  else second.disconnect()
  await sleep(100)

  for (let index = 0; index < original; index += 1) mapOn.first.set(`original${index}`, index, 'trusting')
  if (!live) await first.synced([mapOn.first])
  for (let index = 0; index < copy; index += 1) mapOn.second.set(`copy${index}`, index, 'trusting')
  second.connect()
  await sleep(1000)

  // Other sessions of the document, and other documents of the forked client, go on.
  onBob.set('bob', 'still here', 'trusting')
  map.set('ann', 'still here', 'trusting')
  await Promise.all([bob.synced([onBob]), ann.synced([map])])
  await eventually(() => map.get('bob') === 'still here', "a fork stopped another member's edits")
  await eventually(() => onBob.get('ann') === 'still here', "a fork stopped the owner's edits")
  const other = openGroup(second).createMap({ made: 'by the copy' }, null, 'trusting')
  await second.synced([other])

  // Every subscriber, old or new, holds one and the same history, and can verify it.
  const carl = await signUp('Carl')
  const onCarl = await carl.open(map.id)
  await eventually(() => onCarl.get('bob') === 'still here', 'a newcomer cannot read a document that once was forked')
  await eventually(
    () => sameFor(map, onBob, onCarl),
    () => `histories differ: ${[map, onBob, onCarl].map(keys).join(' / ')}`,
  )
  const winners = ['original', 'copy'].filter((name) => onCarl.get(`${name}0`) === 0)
  expect(winners.length === 1, `of two histories of one session, ${winners.length} were accepted: ${keys(onCarl)}`)
  expect(winners[0] === 'original' || live, 'the history that came second replaced the first')

  const everybody = [ann, bob, carl, first, second]
  await quiet(everybody, 500)
  const marks = everybody.map((client) => client.wire.messages.length)
  await sleep(1500)
  const chatter = everybody.flatMap((client, index) => client.wire.since(marks[index]))
  expect(chatter.length === 0, `a fork keeps the wire busy: ${summary(chatter)}`)
}

/** Ann's map, which Bob watches, and a third person's device twice: the original and a copy of its storage. */
async function twins({ signUp, signIn, storageAt }) {
  const [ann, bob] = await Promise.all([signUp('Ann'), signUp('Bob')])
  const device = await signUp('Device', { storage: storageAt('original.db') })
  const map = openGroup(ann).createMap({ title: 'shared' }, null, 'trusting')
  await ann.synced()
  const onBob = await bob.open(map.id)
  const onDevice = await device.open(map.id)
  for (let index = 0; index < 3; index += 1) onDevice.set(`common${index}`, index, 'trusting')
  await device.synced()
  await eventually(() => map.get('common2') === 2, "the device's edits did not arrive")
  await sleep(400)
  device.close()
  copyFileSync(storageAt.path('original.db'), storageAt.path('copy.db'))
  const { sessionID } = device
  const first = await signIn('Original', device, { storage: storageAt('original.db'), sessionID })
  const second = await signIn('Copy', device, { storage: storageAt('copy.db'), sessionID })
  return { ann, bob, map, onBob, first, second }
}

const keys = (map) => Object.keys(map.toJSON()).sort().join(',')
const sameFor = (...maps) => maps.every((map) => keys(map) === keys(maps[0]))
