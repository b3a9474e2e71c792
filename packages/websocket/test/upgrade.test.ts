/**
 * Upgrades: who is let in, in which dialect, and what the others are told.
 */
import { dialects, jazz, tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import { describe, expect, test, vi } from 'vitest'
import { listenTo, pause, until, upgradeText, withServer } from './help.ts'

vi.setConfig({ testTimeout: 30_000 })

describe('admission', () => {
  test('sees path, query, headers and address, and what it answers comes with the channel', () =>
    withServer({ admit: async ({ url }) => ({ admitted: `user of ${url}` }) }, async (world) => {
      await world.dial({ dialect: jazz, headers: { authorization: 'Bearer x' } }, '/any/path?key=a%20b')
      await until('accepted', () => world.accepted.length === 1)
      const [one] = world.accepted
      expect(one?.admitted).toBe('user of /any/path?key=a%20b')
      expect(one?.request).toMatchObject({
        url: '/any/path?key=a%20b',
        headers: { authorization: 'Bearer x' },
        remoteAddress: '127.0.0.1',
      })
    }))

  for (const [status, retryAfterMs, seconds] of [
    [401, undefined, undefined],
    [403, undefined, undefined],
    [429, 1_500, 2_000],
    [503, 5_000, 5_000],
  ] as const)
    test(`a refusal is HTTP ${status} with a short text, and there is no connection`, () =>
      withServer(
        { admit: () => ({ status, message: 'because', ...(retryAfterMs && { retryAfterMs }) }) },
        async (world) => {
          await expect(world.dial()).rejects.toMatchObject({
            name: 'ConnectError',
            code: 'refused',
            status,
            retryAfterMs: seconds,
            message: `the server refused with ${status}: because`,
          })
          expect(world.accepted).toEqual([])
          const answer = await world.raw(upgradeText())
          expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
          expect(answer).toMatch(/\r\n\r\nbecause\n$/)
          expect(answer.includes('WWW-Authenticate: Bearer')).toBe(status === 401)
        },
      ))

  test('one that fails, or takes too long, is 503', async () => {
    await withServer({ admit: () => Promise.reject(new Error('secret detail')) }, async (world) => {
      const answer = await world.raw(upgradeText())
      expect(answer).toMatch(/^HTTP\/1.1 503 /)
      expect(answer).not.toContain('secret')
    })
    await withServer({ admit: () => new Promise(() => {}), admitTimeoutMs: 30 }, async (world) => {
      await expect(world.dial()).rejects.toMatchObject({ status: 503 })
    })
  })

  test('nothing is decided about what is no handshake: it is 400', async () => {
    let asked = 0
    const admit = () => {
      asked += 1
      return { admitted: undefined }
    }
    await withServer({ admit }, async (world) => {
      const whole = upgradeText()
      for (const text of [
        whole.replace(/Sec-WebSocket-Key: .*\r\n/, ''),
        whole.replace(/Key: .*\r\n/, 'Key: short\r\n'),
        whole.replace('Version: 13', 'Version: 12'),
        whole.replace('GET', 'POST'),
      ])
        expect(await world.raw(text)).toMatch(/^HTTP\/1.1 400 /)
      expect(asked).toBe(0)
      expect(await world.raw(whole)).toMatch(/^HTTP\/1.1 101 /)
      expect(asked).toBe(1)
    })
  })

  test('whoever was let in and is gone before there is a channel is told of, also when the decision came too late', async () => {
    const lost: unknown[] = []
    const onLost = (admitted: unknown) => lost.push(admitted)
    let decide: (admitted: unknown) => void = () => {}
    const decided = new Promise<unknown>((resolve) => {
      decide = resolve
    })
    const admit = async () => ({ admitted: await decided })
    await withServer({ admit, onLost, admitTimeoutMs: 30 }, async (world) => {
      await expect(world.dial()).rejects.toMatchObject({ status: 503 })
      decide('late')
      await until('told', () => lost.length === 1)
    })
    let leave: () => void = () => {}
    const admitAndLeave = async () => {
      leave()
      await pause(20)
      return { admitted: 'gone' }
    }
    await withServer({ admit: admitAndLeave, onLost }, async (world) => {
      const socket = world.tcp()
      leave = () => socket.resetAndDestroy()
      socket.write(upgradeText())
      await until('told', () => lost.length === 2)
      expect(world.accepted).toEqual([])
    })
    expect(lost).toEqual(['late', 'gone'])
  })

  test('more upgrades than may be decided at one time are 503', () => {
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const admit = () => gate.then(() => ({ admitted: undefined }))
    return withServer({ admit, upgradesMax: 2 }, async (world) => {
      const waiting = [world.dial(), world.dial()]
      await pause(50)
      await expect(world.dial()).rejects.toMatchObject({ status: 503 })
      release()
      await Promise.all(waiting)
      await world.dial()
    })
  })

  test('a client that goes away while it is decided about costs nothing', () => {
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    return withServer({ admit: () => gate.then(() => ({ admitted: undefined })) }, async (world) => {
      const socket = world.tcp()
      socket.write(upgradeText())
      await pause(20)
      socket.resetAndDestroy()
      await pause(20)
      release()
      await pause(20)
      await world.dial()
      expect(world.acceptor.connections).toBe(world.accepted.length)
      await until('only the living one', () => world.acceptor.connections === 1)
    })
  })
})

describe('sub-protocols', () => {
  test('none is the Jazz dialect', () =>
    withServer({}, async (world) => {
      expect(await world.raw(upgradeText())).not.toContain('Sec-WebSocket-Protocol')
      expect(world.accepted[0]?.channel.dialect).toBe(jazz)
    }))

  test('a known one is chosen, also among unknown ones', () =>
    withServer({}, async (world) => {
      const channel = await world.dial({ dialect: tidemarkJson, protocols: ['other.2'] })
      expect(channel.dialect).toBe(tidemarkJson)
      expect(world.accepted[0]?.channel.dialect).toBe(tidemarkJson)
      const answer = await world.raw(upgradeText('Sec-WebSocket-Protocol: other.2, tidemark.1.json'))
      expect(answer).toContain('Sec-WebSocket-Protocol: tidemark.1.json\r\n')
    }))

  test('of several known ones the first that the client names is chosen', () =>
    withServer({}, async (world) => {
      for (const [offered, dialect] of [
        ['tidemark.1, tidemark.1.json', tidemarkBinary],
        ['tidemark.1.json, tidemark.1', tidemarkJson],
      ] as const) {
        const answer = await world.raw(upgradeText(`Sec-WebSocket-Protocol: ${offered}`))
        expect(answer).toContain(`Sec-WebSocket-Protocol: ${dialect.name}\r\n`)
        expect(world.accepted.at(-1)?.channel.dialect).toBe(dialect)
      }
    }))

  test('only unknown ones are 400, naming those that are spoken', () =>
    withServer({}, async (world) => {
      const answer = await world.raw(upgradeText('Sec-WebSocket-Protocol: mqtt, other.2'))
      expect(answer).toMatch(/^HTTP\/1.1 400 /)
      for (const { subprotocol } of dialects) expect(answer).toContain(subprotocol ?? 'the Jazz dialect')
    }))

  test('a server may speak some dialects only', async () => {
    await withServer({ dialects: [jazz] }, async (world) => {
      await expect(world.dial({ dialect: tidemarkJson })).rejects.toMatchObject({ status: 400 })
    })
    await withServer({ dialects: [tidemarkJson] }, async (world) => {
      await expect(world.dial({ dialect: jazz })).rejects.toMatchObject({ status: 400 })
    })
  })
})

describe('broken requests', () => {
  const broken = {
    'no key':
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n',
    'a short key': upgradeText().replace('dGhlIHNhbXBsZSBub25jZQ==', 'abc'),
    'an old version': upgradeText().replace('Version: 13', 'Version: 7'),
    'another method': upgradeText().replace('GET', 'POST'),
    'another protocol': upgradeText().replace('websocket', 'h2c'),
    'a malformed list of sub-protocols': upgradeText('Sec-WebSocket-Protocol: tidemark.1.json,,('),
    'no HTTP at all': 'hello?\r\n\r\n',
    'half a request': 'GET / HT',
  }
  for (const [what, text] of Object.entries(broken))
    test(`${what}: an HTTP error or silence, and nobody else notices`, () =>
      withServer({}, async (world) => {
        const good = listenTo(await world.dial())
        await until('accepted', () => world.accepted.length === 1)
        const server = listenTo(world.accepted[0]?.channel as never)
        const answer = await world.raw(text)
        if (what === 'half a request') expect(answer).toBe('(still open)')
        else expect(answer).toMatch(/^HTTP\/1.1 4\d\d /)
        expect(world.accepted).toHaveLength(1)
        good.channel.send('fine')
        await until('the other', () => server.frames.length === 1)
      }))

  test('plain requests are not touched', () =>
    withServer({}, async (world) => {
      const response = await fetch(world.url.replace('ws:', 'http:'))
      expect(await response.text()).toBe('plain')
    }))
})
