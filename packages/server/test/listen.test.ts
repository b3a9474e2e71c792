/**
 * The server behind HTTP: health, metrics, upgrades, and whatever the embedder serves.
 */
import { request } from 'node:http'
import { connect } from 'node:net'
import { memoryStorage, StorageError } from '@tidemark/storage'
import { describe, expect, test, vi } from 'vitest'
import { createServer } from '../src/index.ts'
import { listen } from '../src/node.ts'
import { metric, pause, until, withServer, wrapped } from './help.ts'
import { content, jazzClient, load } from './jazz.ts'

vi.setConfig({ testTimeout: 30_000 })

/** What an upgrade is answered instead of a socket. */
function upgrade(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ status: number | undefined; body: string; retryAfter: string | undefined }> {
  return new Promise((resolve, reject) => {
    const asked = request(url.replace('ws:', 'http:'), {
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers,
      },
    })
    asked.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve({ status: response.statusCode, body: '', retryAfter: undefined })
    })
    asked.on('response', (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () =>
        resolve({ status: response.statusCode, body, retryAfter: response.headers['retry-after'] }),
      )
    })
    asked.on('error', reject)
    asked.end()
  })
}

describe('plain requests', () => {
  test('GET /health is JSON, and 503 when the server cannot serve', () =>
    withServer({ peer: 'me' }, async (world) => {
      const { status, body, type } = await world.get('/health')
      expect([status, type]).toEqual([200, 'application/json'])
      expect(JSON.parse(body)).toEqual({
        status: 'ok',
        peer: 'me',
        storage: { generation: expect.anything(), level: 'memory', writable: true },
        connections: 0,
        documents: 0,
        subscriptions: 0,
        queued: 0,
        uptimeMs: expect.any(Number),
      })
      await world.server.close()
      expect(await world.get('/health')).toMatchObject({ status: 503 })
    }))

  test('GET /health is 503 and names the reason while what clients write cannot be stored', () => {
    const storage = wrapped(memoryStorage(), (method, call) => {
      if (method === 'append') throw new StorageError('QUOTA', 'no space left on device')
      return call()
    })
    return withServer({ storage }, async (world) => {
      const client = await jazzClient(world.url)
      client.say(content('note', 'a', 0, 1))
      await until('it was tried', () => metric(world.server.metrics() ?? '', 'tidemark_storage_appends_total') > 0)
      await until('it failed', () => world.server.health().status !== 'ok')
      const { status, body } = await world.get('/health')
      expect(status).toBe(503)
      expect(JSON.parse(body)).toMatchObject({
        status: 'degraded',
        reason: 'what clients write cannot be stored: QUOTA',
      })
      await client.close()
    })
  })

  test('GET /metrics is Prometheus text, of the server and of the process', () =>
    withServer({}, async (world) => {
      const client = await jazzClient(world.url)
      const { status, body, type } = await world.get('/metrics?x=1')
      await client.close()
      expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
      expect(metric(body, 'tidemark_connections_open')).toBe(1)
      expect(metric(body, 'process_cpu_seconds_total')).toBeGreaterThan(0)
      expect(metric(body, 'process_main_thread_cpu_seconds_total')).toBeGreaterThan(0)
      expect(metric(body, 'process_event_loop_active_seconds_total')).toBeGreaterThan(0)
      expect(metric(body, 'process_resident_memory_bytes')).toBeGreaterThan(1e6)
      for (const line of body.trimEnd().split('\n'))
        expect(line).toMatch(/^# (HELP|TYPE) \w+ ?.*$|^\w+(\{[^}]*\})? \S+$/)
    }))

  test('others are the embedder’s, or 404; one that fails is 500', async () => {
    await withServer({}, async (world) => {
      expect(await world.get('/')).toMatchObject({ status: 404 })
    })
    await withServer(
      {
        listen: {
          async onRequest({ url }, response) {
            if (url === '/broken') throw new Error('secret detail')
            response.end(`page ${url}`)
          },
        },
      },
      async (world) => {
        expect(await world.get('/a?b')).toMatchObject({ status: 200, body: 'page /a?b' })
        expect(await world.get('/broken')).toMatchObject({ status: 500, body: 'internal error\n' })
        expect(await world.get('/health')).toMatchObject({ status: 200 })
      },
    )
  })

  test('what is neither HTTP nor finished harms nobody', () =>
    withServer({}, async (world) => {
      const sockets = ['nonsense\r\n\r\n', 'GET /hea', ''].map((text) => {
        const socket = connect(world.listening.port, '127.0.0.1').on('error', () => {})
        socket.write(text)
        return socket
      })
      await pause(20)
      expect(await world.get('/health')).toMatchObject({ status: 200 })
      for (const socket of sockets) socket.destroy()
    }))
})

describe('upgrades', () => {
  test('any path and query lead to the same server', () =>
    withServer({}, async (world) => {
      const client = await jazzClient(`${world.url}/some/path?key=x`)
      client.say(load('note'))
      await client.hears(1)
      await client.close()
    }))

  test('refusals are statuses: 401, 403, 429, 503, and 400 for an unknown sub-protocol', async () => {
    let answer: unknown
    await withServer({ hooks: { authenticate: () => answer } }, async (world) => {
      expect(await upgrade(world.url)).toMatchObject({ status: 401 })
      answer = false
      expect(await upgrade(world.url)).toMatchObject({ status: 403 })
      answer = 'ada'
      expect(await upgrade(world.url)).toMatchObject({ status: 101 })
      expect(await upgrade(world.url, { 'sec-websocket-protocol': 'mqtt' })).toMatchObject({ status: 400 })
      const bad = new WebSocket(world.url)
      bad.onopen = () => {
        for (let count = 0; count < 30; count++) bad.send('nonsense')
      }
      const code = await new Promise((resolve) => {
        bad.onclose = (event) => resolve(event.code)
      })
      expect(code).toBe(1008)
      expect(await upgrade(world.url)).toMatchObject({ status: 429, retryAfter: '5' })
    })
  })

  test('a store that failed as a whole refuses with 503, and clients that are there are closed with 1013', async () => {
    let broken = false
    const storage = wrapped(memoryStorage(), (method, call) => {
      if (broken && method !== 'close') throw new StorageError('IO', 'gone')
      return call()
    })
    await withServer({ storage }, async (world) => {
      const client = await jazzClient(world.url)
      broken = true
      client.say(load('note'))
      expect(await client.closed).toMatchObject({ code: 1013 })
      expect(client.heard).toEqual([])
      expect(await upgrade(world.url)).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^([5-9]|10)$/) })
      expect(await world.get('/health')).toMatchObject({ status: 503 })
    })
  })
})

describe('listening', () => {
  test('a port in use rejects, and the server is still the caller’s', () =>
    withServer({}, async (world) => {
      const other = await createServer({ storage: memoryStorage() })
      await expect(listen(other, { port: world.listening.port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
      expect(other.health().status).toBe('ok')
      await other.close()
    }))

  test('an IPv6 address stands in brackets', async () => {
    const server = await createServer({ storage: memoryStorage() })
    const listening = await listen(server, { host: '::1' })
    try {
      expect(listening.url).toBe(`ws://[::1]:${listening.port}`)
      const client = await jazzClient(listening.url)
      await client.close()
    } finally {
      await listening.close()
    }
  })

  test('closing tells clients 1001, loses nothing that was acknowledged, and frees the port', async () => {
    const storage = memoryStorage()
    let acknowledged = 0
    let port = 0
    await withServer({ storage }, async (world) => {
      port = world.listening.port
      const client = await jazzClient(world.url)
      for (let count = 0; count < 200; count++) client.say(content('note', 'a', count, count + 1))
      await until('the first acknowledgement', () => client.heard.length > 0)
      await world.listening.close()
      expect(await client.closed).toEqual({ code: 1001, reason: 'the server is going away' })
      acknowledged = Math.max(...client.heard.flatMap(({ sessions = {} }) => Object.values(sessions)))
      await expect(world.get('/health')).rejects.toThrow()
    })
    expect(acknowledged).toBeGreaterThan(0)
    const server = await createServer({ storage: memoryStorage() })
    const again = await listen(server, { port })
    await again.close()
  })
})
