/**
 * Two people who share something: sign-up, opening, editing live and offline, acknowledgements.
 */
import { openGroup } from '../lib/clients.mjs'
import { eventually, expect, quiet, sleep } from '../lib/expect.mjs'
import { contents, ofDocument, summary, transactionsIn } from '../lib/wire.mjs'

export const basics = [
  {
    name: 'accounts-upload',
    async run({ signUp }) {
      const [ann, bob] = await Promise.all([signUp('Ann'), signUp('Bob')])
      await Promise.all([ann.synced(), bob.synced()])
    },
  },
  {
    name: 'sign-in-elsewhere',
    async run({ signUp, signIn }) {
      const ann = await signUp('Ann')
      await ann.synced()
      ann.disconnect()
      const phone = await signIn("Ann's phone", ann)
      const account = await phone.open(ann.accountID)
      const profile = await phone.open(account.get('profile'))
      expect(profile.get('name') === 'Ann', 'the profile did not arrive on the second device')
    },
  },
  {
    name: 'shared-map-encrypted',
    async run({ signUp }) {
      const { ann, bob, map } = await shared(signUp)
      map.set('hello', 'world')
      await ann.synced([map])
      const onBob = await bob.open(map.id)
      await eventually(() => onBob.get('hello') === 'world', 'Bob cannot read what Ann wrote')
    },
  },
  {
    name: 'live-edits',
    async run({ signUp }) {
      const { bob, map } = await shared(signUp)
      const onBob = await bob.open(map.id)
      onBob.set('from', 'bob')
      await eventually(() => map.get('from') === 'bob', "Bob's edit did not reach Ann")
      map.set('from', 'ann')
      await eventually(() => onBob.get('from') === 'ann', "Ann's edit did not reach Bob")
    },
  },
  {
    name: 'offline-edits-converge',
    async run({ signUp }) {
      const { ann, bob, map } = await shared(signUp)
      const onBob = await bob.open(map.id)
      await Promise.all([ann.synced([map]), bob.synced([onBob])])
      ann.disconnect()
      bob.disconnect()
      await sleep(100)
      map.set('ann', 1)
      onBob.set('bob', 2)
      ann.connect()
      bob.connect()
      await eventually(() => map.get('bob') === 2 && onBob.get('ann') === 1, 'offline edits did not converge')
      await Promise.all([ann.synced([map]), bob.synced([onBob])])
    },
  },
  {
    name: 'unknown-id-is-unavailable',
    async run({ signUp }) {
      const ann = await signUp('Ann')
      await ann.synced()
      const started = Date.now()
      const answer = await ann.node.load('co_zAAAAAAAAAAAAAAAAAAAAAAAAAAAA', true)
      expect(answer === 'unavailable', 'an id that does not exist was answered with a document')
      expect(Date.now() - started < 3000, `"unavailable" took ${Date.now() - started} ms`)
    },
  },
  {
    name: 'header-only-document',
    async run({ signUp }) {
      const ann = await signUp('Ann')
      const map = openGroup(ann).createMap()
      await ann.synced([map])
      const bob = await signUp('Bob')
      const onBob = await bob.open(map.id)
      expect(onBob.id === map.id, 'a document without transactions did not arrive')
      onBob.set('first', 1)
      await eventually(() => map.get('first') === 1, 'the first edit of an empty document did not arrive')
    },
  },
  {
    name: 'every-kind-of-document',
    async run({ signUp }) {
      const ann = await signUp('Ann')
      const group = openGroup(ann)
      const list = group.createList(['a', 'b', 'c'])
      const text = group.createPlainText('hêllo 👋🏽 wörld')
      const stream = group.createStream()
      stream.push({ nested: { deep: [1, 2.5, null, true, '\u2028 "quoted" \\ \u0000'] } })
      await ann.synced([list, text, stream])
      const bob = await signUp('Bob')
      for (const original of [list, text, stream]) {
        const copy = await bob.open(original.id)
        const same = () => JSON.stringify(copy.toJSON()) === JSON.stringify(original.toJSON())
        await eventually(same, `a ${original.type} arrived changed: ${JSON.stringify(copy.toJSON()).slice(0, 200)}`)
      }
    },
  },
  {
    // A server that judges a client by what it confirmed, instead of by what was sent, has everything in flight sent again.
    name: 'busy-writers-send-once',
    async run({ signUp }) {
      const { ann, bob, map } = await shared(signUp)
      const onBob = await bob.open(map.id)
      await quiet([ann, bob])
      const before = [ann.wire.messages.length, bob.wire.messages.length]
      for (let index = 0; index < 200; index += 1) {
        map.set(`ann${index}`, index)
        onBob.set(`bob${index}`, index)
        if (index % 4 === 0) await sleep(1)
      }
      await Promise.all([ann.synced([map]), bob.synced([onBob])])
      await eventually(() => map.get('bob199') === 199 && onBob.get('ann199') === 199, 'busy writers did not converge')
      await quiet([ann, bob])
      for (const [index, client] of [ann, bob].entries()) {
        const messages = ofDocument(client.wire.since(before[index]), map.id)
        const [up, down] = ['client', 'server'].map((from) => transactionsIn(contents(messages, from)))
        expect(up <= 210 && down <= 210, `${client.name} wrote 200 and read 200, but sent ${up} and received ${down}`)
      }
    },
  },
  {
    name: 'no-chatter-when-idle',
    async run({ signUp }) {
      const { ann, bob, map } = await shared(signUp)
      await bob.open(map.id)
      await quiet([ann, bob])
      const mark = ann.wire.messages.length
      await sleep(1500)
      expect(ann.wire.messages.length === mark, `messages without a cause: ${summary(ann.wire.since(mark))}`)
    },
  },
]

/** Ann shares a map with Bob, who is a writer of its group by name. */
async function shared(signUp) {
  const [ann, bob] = await Promise.all([signUp('Ann'), signUp('Bob')])
  await Promise.all([ann.synced(), bob.synced()])
  const group = ann.node.createGroup()
  group.addMember(await ann.open(bob.accountID), 'writer')
  const map = group.createMap()
  map.set('title', 'shared')
  await ann.synced([group, map])
  return { ann, bob, group, map }
}
