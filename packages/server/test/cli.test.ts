/**
 * The command as people run it: a process, its output, its exit codes, its file.
 */
import { chmodSync, readdirSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { leveldbStorage } from '@tidemark/storage-leveldb'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { describe, expect, test } from 'vitest'
import { CommandError, parseCommand } from '../src/command.ts'
import { runCommand, startCommand, withCommand } from './command-process.ts'
import { pause, until, untilAsync, withFolder } from './help.ts'
import { content, jazzClient, load, received, session } from './jazz.ts'

/** An upgrade request with these headers; whatever it is answered. */
function raw(base: string, path: string, headers: Record<string, string>): Promise<void> {
  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  return new Promise((resolve) => {
    const asked = request(base + path, { headers: { ...upgrade, ...headers } })
    asked.on('error', () => resolve())
    asked.on('upgrade', (_response, socket) => {
      socket.destroy()
      resolve()
    })
    asked.on('response', (response) => {
      response.resume()
      response.on('end', resolve)
    })
    asked.end()
  })
}

const timeout = 60_000
const anyPort = ['--port', '0'] as const

describe('starting', { timeout }, () => {
  test('prints the ready line with the real port, and answers /health', () =>
    withFolder((folder) =>
      withCommand([...anyPort, '--storage', `sqlite:${join(folder, 'a.db')}`], async (command) => {
        expect(command.url).toMatch(/^ws:\/\/127\.0\.0\.1:[1-9]\d+$/)
        const response = await command.get('/health')
        expect(response.status).toBe(200)
        expect(await response.json()).toMatchObject({ status: 'ok', storage: { level: 'durable', writable: true } })
        expect(await (await command.get('/metrics')).text()).toContain('tidemark_connections_open 0')
      }),
    ))

  test('several storages are layers: what one of them had alone is in both, and /health shows each', () =>
    withFolder(async (folder) => {
      const [first, second] = [`sqlite:${join(folder, 'a.db')}`, `leveldb:${join(folder, 'b')}`]
      const alone = sqliteStorage({ path: join(folder, 'a.db') })
      await alone.open()
      const header = new TextEncoder().encode('{"type":"note"}')
      await alone.append([{ id: 'co_znote', kind: 'json', priority: 3, header, runs: [] }])
      await alone.close()
      const storages = ['--log-level', 'debug', '--storage', 'memory:', '--storage', first, '--storage', second]
      await withCommand([...anyPort, ...storages], async (command) => {
        const health = await (await command.get('/health')).json()
        expect(health).toMatchObject({ status: 'ok', storage: { level: 'durable', writable: true } })
        expect(health.storage.layers).toMatchObject([
          { name: 'memory', condition: 'up', role: 'cache' },
          { name: expect.stringMatching(/^sqlite [0-9a-f]{8}$/), condition: 'up', role: 'required', level: 'durable' },
          { name: expect.stringMatching(/^leveldb [0-9a-f]{8}$/), condition: 'up', role: 'required', level: 'durable' },
        ])
        const client = await jazzClient(command.url)
        client.say(load('note'))
        await client.hears(1)
        expect(client.heard[0]).toMatchObject({ action: 'content', id: 'co_znote' })
        await client.close()
        // The repair is in the background.
        await until('the repair', () => command.stderr().includes('layers: settled'))
      })
      const other = leveldbStorage({ path: join(folder, 'b') })
      await other.open()
      expect((await other.knownStates(['co_znote']))[0]?.known.header).toBe(true)
      await other.close()
    }))

  test('an IPv6 address is printed in brackets', () =>
    withCommand([...anyPort, '--host', '::1', '--storage', 'memory:'], async (command) => {
      expect(command.url).toMatch(/^ws:\/\/\[::1\]:\d+$/)
      expect((await command.get('/health')).status).toBe(200)
    }))

  test('without --storage it uses tidemark.db where it was started', () =>
    withFolder(async (folder) => {
      const command = await startCommand([...anyPort], { cwd: folder })
      command.child.kill('SIGTERM')
      expect(await command.ended).toMatchObject({ code: 0 })
      expect(readdirSync(folder)).toContain('tidemark.db')
    }))

  test('--help and --version print and exit with 0', async () => {
    const help = await runCommand(['--help'])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toContain('--token-file FILE')
    const version = await runCommand(['--version'])
    expect(version).toMatchObject({ code: 0, stderr: '' })
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\S*\n$/)
  })
})

describe('what cannot be done is one clear line on stderr and exit code 2', { timeout }, () => {
  async function refused(args: readonly string[]): Promise<string> {
    const ended = await runCommand(args)
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toMatch(/^tidemark-server: [^\n]+\n$/)
    return ended.stderr
  }

  test('a bad option', async () => {
    expect(await refused(['--nope'])).toContain('--nope')
  })

  test('an unknown kind of storage, and one without its path', async () => {
    expect(await refused([...anyPort, '--storage', 'redis:x'])).toContain('sqlite:PATH, leveldb:PATH')
    expect(await refused([...anyPort, '--storage', 'leveldb:'])).toContain('leveldb:PATH')
  })

  test('a port in use', () =>
    withFolder(async (folder) => {
      const blocker = createServer()
      await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
      try {
        const { port } = blocker.address() as { port: number }
        const storage = `sqlite:${join(folder, 'a.db')}`
        expect(await refused(['--port', `${port}`, '--storage', storage])).toContain(`--port ${port}`)
      } finally {
        blocker.close()
      }
    }))

  test('an address that is not of this machine', async () => {
    expect(
      await refused([...anyPort, '--storage', 'memory:', '--host', '192.0.2.1', '--log-level', 'error']),
    ).toContain('192.0.2.1')
  })

  test('a foreign file, a folder, a place that does not exist', () =>
    withFolder(async (folder) => {
      const foreign = join(folder, 'foreign.db')
      writeFileSync(foreign, 'somebody else’s notes, long enough to be looked at as a database file'.repeat(100))
      for (const path of [foreign, folder, join(folder, 'no', 'such', 'folder.db')])
        expect(await refused([...anyPort, '--storage', `sqlite:${path}`])).toContain(path)
      for (const path of [foreign, folder, join(folder, 'no', 'such', 'folder')])
        expect(await refused([...anyPort, '--storage', `leveldb:${path}`])).toContain(path)
    }))

  for (const kind of ['sqlite', 'leveldb'])
    test(`a second server on the same store (${kind})`, () =>
      withFolder((folder) => {
        const storage = ['--storage', `${kind}:${join(folder, 'a.db')}`]
        return withCommand([...anyPort, ...storage], async (first) => {
          expect(await refused([...anyPort, ...storage])).toContain('a.db')
          expect((await first.get('/health')).status).toBe(200)
        })
      }))

  test('an origin that is none, a memory budget that is none or too small', async () => {
    expect(await refused([...anyPort, '--storage', 'memory:', '--allow-origin', 'example.org'])).toContain(
      'example.org',
    )
    for (const budget of ['1M', 'much', '12T', '-5', ''])
      expect(() => parseCommand([`--memory-budget=${budget}`])).toThrow(CommandError)
    expect(parseCommand(['--memory-budget', '2G'])).toMatchObject({ memoryBytesMax: 2 * 1024 ** 3 })
  })

  test('a token file that is not there, or without a token', () =>
    withFolder(async (folder) => {
      const empty = join(folder, 'empty')
      writeFileSync(empty, '\n# only a comment\n')
      for (const file of [empty, join(folder, 'missing')])
        expect(await refused([...anyPort, '--storage', 'memory:', '--token-file', file])).toContain(file)
    }))
})

describe('tokens', { timeout }, () => {
  test('let clients in, by header or query; others get 401; no line ever shows one', () =>
    withFolder((folder) => {
      const file = join(folder, 'tokens')
      writeFileSync(file, '# ours\nhush-1\nhush-2\n')
      const args = [...anyPort, '--storage', 'memory:', '--token-file', file, '--log-level', 'debug']
      return withCommand(args, async (command) => {
        for (const query of ['?key=hush-1', '?a=b&key=hush-2']) {
          const client = await jazzClient(`${command.url}/${query}`)
          client.say(load('note'))
          await client.hears(1)
          await client.close()
        }
        for (const query of ['', '?key=hush', '?key=wrong'])
          await expect(jazzClient(`${command.url}/${query}`)).rejects.toThrow('refused')
        await until('the log', () => command.stderr().includes('status=401'))
        expect(command.stderr()).not.toContain('hush')
      })
    }))

  test('are read again when the file changes and on SIGHUP; a file that cannot be used changes nothing', () =>
    withFolder((folder) => {
      const file = join(folder, 'tokens')
      writeFileSync(file, 'hush-1\n', { mode: 0o600 })
      return withCommand([...anyPort, '--storage', 'memory:', '--token-file', file], async (command) => {
        const letsIn = async (token: string) => {
          const client = await jazzClient(`${command.url}/?key=${token}`).catch(() => undefined)
          await client?.close()
          return client !== undefined
        }
        expect(command.stderr()).not.toContain('warn')
        writeFileSync(file, 'hush-2\n')
        command.child.kill('SIGHUP')
        await until('it was read again', () => command.stderr().includes('read again'))
        expect([await letsIn('hush-1'), await letsIn('hush-2')]).toEqual([false, true])
        writeFileSync(file, '# nobody\n')
        command.child.kill('SIGHUP')
        await until('it is complained about', () => command.stderr().includes('there is no token'))
        expect(await letsIn('hush-2')).toBe(true)
        // Without a signal it is seen when somebody connects, once a second.
        writeFileSync(file, 'hush-3\n', { mode: 0o600 })
        await untilAsync('the change is seen', () => letsIn('hush-3'))
        expect(await letsIn('hush-2')).toBe(false)
        chmodSync(file, 0o644)
        command.child.kill('SIGHUP')
        await until('the warning', () => command.stderr().includes('chmod 600'))
        expect(command.stderr()).not.toContain('hush')
      })
    }))

  test('no line of the log shows a secret, whatever goes wrong', () =>
    withFolder((folder) => {
      const file = join(folder, 'tokens')
      writeFileSync(file, 'hush-right\n', { mode: 0o600 })
      const args = [...anyPort, '--storage', 'memory:', '--token-file', file, '--log-level', 'debug']
      return withCommand([...args, '--allow-origin', 'https://example.org'], async (command) => {
        const base = command.url.replace('ws:', 'http:')
        const attempts: Record<string, string>[] = [
          { authorization: 'Bearer hush-wrong' },
          { authorization: 'Basic hush-basic', cookie: 'session=hush-cookie' },
          { origin: 'https://hush-origin.example' },
          { 'sec-websocket-protocol': 'hush-protocol' },
        ]
        for (const headers of attempts) await raw(base, '/?key=hush-query', headers)
        await raw(base, '/health?key=hush-page', {})
        const client = await jazzClient(`${command.url}/?key=hush-right`)
        const bad = [
          'nonsense hush-line',
          '{"action":"load","id":7,"key":"hush-field"}',
          '{"action":"content","id":"co_znote"}',
        ]
        for (let round = 0; round < 30; round++) client.raw(bad.join('\n'))
        expect((await client.closed).code).toBe(1008)
        await raw(base, '/?key=hush-right', {})
        await until(
          'the log',
          () => / 1008|code=1008/.test(command.stderr()) && command.stderr().includes('status=429'),
        )
        expect(command.stderr()).toContain('status=401')
        expect(command.stderr()).toContain('status=403')
        expect(command.stderr()).not.toContain('hush')
        expect(await (await command.get('/metrics')).text()).not.toContain('hush')
        expect(await (await command.get('/health')).text()).not.toContain('hush')
      })
    }))

  test('an address that others can reach without a token is warned of, and one that they cannot is not', async () => {
    await withCommand([...anyPort, '--storage', 'memory:', '--host', '0.0.0.0'], async (command) => {
      expect(command.stderr()).toMatch(/ warn .*--token-file/)
    })
    await withCommand([...anyPort, '--storage', 'memory:', '--host', 'localhost'], async (command) => {
      expect(command.stderr()).not.toContain('warn')
    })
  })
})

describe('stopping', { timeout }, () => {
  for (const [signal, kind] of [
    ['SIGTERM', 'sqlite'],
    ['SIGINT', 'sqlite'],
    ['SIGTERM', 'leveldb'],
  ] as const)
    test(`${signal}: clients are told 1001, what was acknowledged is there after a restart, exit code 0 (${kind})`, () =>
      withFolder(async (folder) => {
        const args = [...anyPort, '--storage', `${kind}:${join(folder, 'a.db')}`]
        const command = await startCommand(args)
        let acknowledged = 0
        try {
          const client = await jazzClient(command.url)
          for (let count = 0; count < 2_000; count++) client.say(content('note', 'a', count, count + 1))
          await until('a first acknowledgement', () => client.heard.length > 0)
          command.child.kill(signal)
          expect(await client.closed).toEqual({ code: 1001, reason: 'the server is going away' })
          acknowledged = Math.max(...client.heard.map(({ sessions }) => sessions?.[session('a')] ?? 0))
          expect(await command.ended).toMatchObject({ code: 0 })
        } finally {
          command.child.kill('SIGKILL')
        }
        expect(acknowledged).toBeGreaterThan(0)
        await withCommand(args, async (again) => {
          const client = await jazzClient(again.url)
          client.say(load('note'))
          await until(
            'all that was acknowledged',
            () => (received(client, 'note').get(session('a'))?.length ?? 0) >= acknowledged,
          )
          await client.close()
        })
      }))

  test('Ctrl-C that arrives twice, because a wrapper passes it on, is one', async () => {
    const command = await startCommand([...anyPort, '--storage', 'memory:'])
    try {
      command.child.kill('SIGINT')
      await pause(20)
      command.child.kill('SIGINT')
      expect(await command.ended).toMatchObject({ code: 0 })
    } finally {
      command.child.kill('SIGKILL')
    }
  })

  test('a second signal ends it at once, with exit code 1', async () => {
    const command = await startCommand([...anyPort, '--storage', 'memory:'])
    try {
      // A client that does not answer the close keeps the first signal waiting.
      const { connect } = await import('node:net')
      const socket = connect(Number(new URL(command.url).port), '127.0.0.1')
      socket.write(
        'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      )
      await new Promise((resolve) => socket.once('data', resolve))
      command.child.kill('SIGTERM')
      await until('it is stopping', () => command.stderr().includes('stopping'))
      command.child.kill('SIGTERM')
      expect(await command.ended).toMatchObject({ code: 1 })
      socket.destroy()
    } finally {
      command.child.kill('SIGKILL')
    }
  })
})
