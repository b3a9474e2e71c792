/**
 * What permissions look like on the wire: key rotation, groups in groups, invitations, deletion.
 *
 * A server that does not understand any of it must still deliver all of it, dependencies first.
 */
import { openGroup } from '../lib/clients.mjs'
import { eventually, expect, quiet, sleep } from '../lib/expect.mjs'
import { contents, ofDocument, summary } from '../lib/wire.mjs'

const isTombstone = (session) => session.endsWith('$')

export const permissions = [
  {
    name: 'key-rotation',
    async run({ signUp, signIn }) {
      const [ann, bob, carl] = await Promise.all(['Ann', 'Bob', 'Carl'].map((name) => signUp(name)))
      await Promise.all([ann, bob, carl].map((client) => client.synced()))
      const group = ann.node.createGroup()
      const carlsAccount = await ann.open(carl.accountID)
      group.addMember(await ann.open(bob.accountID), 'writer')
      group.addMember(carlsAccount, 'writer')
      const map = group.createMap()
      map.set('before', 'for all three')
      const onBob = await bob.open(map.id)
      const onCarl = await carl.open(map.id)
      await eventually(() => onCarl.get('before') === 'for all three', 'a member cannot read')

      group.removeMember(carlsAccount)
      map.set('after', 'for two')
      await ann.synced([group, map])
      await eventually(() => onBob.get('after') === 'for two', 'a member who stayed cannot read after the rotation')
      onBob.set('answer', 'from Bob')
      await eventually(() => map.get('answer') === 'from Bob', 'a member who stayed cannot write after the rotation')
      await eventually(
        () => heldCounts(carl, map) === heldCounts(ann, map),
        'the removed member gets no more ciphertext',
      )
      expect(onCarl.get('after') === undefined, 'the removed member reads what was written after the removal')

      const phone = await signIn("Bob's phone", bob)
      const onPhone = await phone.open(map.id)
      await eventually(() => onPhone.get('after') === 'for two', 'a second device cannot read after the rotation')
      expect(onPhone.get('before') === 'for all three', 'the old key did not arrive on the second device')
    },
  },
  {
    name: 'groups-in-groups',
    async run({ signUp }) {
      const [ann, bob] = await Promise.all([signUp('Ann'), signUp('Bob')])
      await bob.synced()
      const parent = ann.node.createGroup()
      const child = ann.node.createGroup()
      child.extend(parent)
      const map = child.createMap()
      map.set('deep', 'secret')
      parent.addMember(await ann.open(bob.accountID), 'reader')
      await ann.synced()
      ann.disconnect()
      const onBob = await bob.open(map.id)
      await eventually(() => onBob.get('deep') === 'secret', 'a member of the parent group cannot read')
    },
  },
  {
    name: 'invitation',
    async run({ signUp }) {
      const ann = await signUp('Ann')
      const group = ann.node.createGroup()
      const invitation = group.createInvite('writer')
      const map = group.createMap()
      map.set('for', 'guests')
      await ann.synced()
      const bob = await signUp('Bob')
      await bob.node.acceptInvite(group.id, invitation)
      const onBob = await bob.open(map.id)
      await eventually(() => onBob.get('for') === 'guests', 'an invited person cannot read')
      onBob.set('thanks', true)
      await eventually(() => map.get('thanks') === true, "an invited person's edit does not arrive")
    },
  },
  {
    name: 'dependencies-come-first',
    async run({ signUp }) {
      const ann = await signUp('Ann')
      const group = openGroup(ann)
      const map = group.createMap()
      map.set('a', 1)
      await ann.synced()
      const bob = await signUp('Bob')
      await bob.synced()
      const mark = bob.wire.messages.length
      await bob.open(map.id)
      const asked = bob.wire.since(mark).filter((message) => message.from === 'client' && message.action === 'load')
      const late = asked.filter((message) => message.id !== map.id)
      expect(late.length === 0, `Bob had to ask for ${late.length} documents that the map depends on`)
    },
  },
  {
    name: 'deletion-spreads',
    async run({ signUp }) {
      const [ann, bob] = await Promise.all([signUp('Ann'), signUp('Bob')])
      const map = openGroup(ann).createMap()
      map.set('old', 'content', 'trusting')
      await ann.synced()
      const onBob = await bob.open(map.id)
      map.core.deleteCoValue()
      await ann.synced([map])
      await eventually(() => onBob.core.isDeleted, 'the deletion did not reach a subscriber')
      await bob.synced([onBob])

      const carl = await signUp('Carl')
      const onCarl = await carl.open(map.id)
      await eventually(() => onCarl.core.isDeleted, 'a newcomer gets a deleted document as if it were alive')
      const sessions = contents(ofDocument(carl.wire.messages, map.id), 'server').flatMap((message) =>
        Object.keys(message.new),
      )
      expect(sessions.every(isTombstone), 'a newcomer was sent the history of a deleted document')
      expect(onCarl.get('old') === undefined, 'a newcomer reads deleted content')
    },
  },
  {
    name: 'deletion-meets-offline-edits',
    async run({ signUp }) {
      const [ann, bob] = await Promise.all([signUp('Ann'), signUp('Bob')])
      const map = openGroup(ann).createMap()
      map.set('old', 'content', 'trusting')
      await ann.synced()
      const onBob = await bob.open(map.id)
      await bob.synced([onBob])
      bob.disconnect()
      await sleep(100)
      onBob.set('late', 'edit', 'trusting')
      map.core.deleteCoValue()
      await ann.synced([map])
      bob.connect()
      await eventually(() => onBob.core.isDeleted, 'the deletion did not reach a client with offline edits')
      await bob.synced([onBob])
      await ann.synced([map])
      await quiet([ann, bob])
      for (const client of [ann, bob]) await reconnectCalmly(client, map)
    },
  },
]

/** After a deletion nobody may go on correcting anybody: a reconnect costs a handful of messages, and no content. */
async function reconnectCalmly(client, map) {
  client.disconnect()
  await sleep(100)
  const mark = client.wire.messages.length
  client.connect()
  await eventually(
    () => ofDocument(client.wire.since(mark), map.id).length > 1,
    `${client.name} got no answer after reconnecting`,
  )
  await quiet([client])
  const messages = ofDocument(client.wire.since(mark), map.id)
  expect(messages.length <= 4, `${client.name} and the server disagree about a deleted document: ${summary(messages)}`)
}

const heldCounts = (client, map) =>
  JSON.stringify(Object.entries(client.node.getCoValue(map.id).knownState().sessions).sort())
