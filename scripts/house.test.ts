/**
 * The rules of the house, checked over the working tree.
 *
 * Each test is one rule; what it finds is a list of messages that say what to do. The rules themselves are in house.ts.
 */
import { describe, expect, test } from 'vitest'
import * as house from './house.ts'
import { readManifest, type WorkspacePackage, workspacePackages } from './workspace.ts'

const files = house.textFiles()
const sources = files.filter(house.isSource)
const tests = files.filter(house.isTest)
const members = workspacePackages()
const packages = members.filter(({ folder }) => folder.startsWith('packages/'))

describe('the package graph', () => {
  test('imports point down only', () => {
    expect(sources.flatMap(house.importsUpward)).toEqual([])
  })

  test('what a package imports is declared in its package.json', () => {
    const shared = Object.keys(readManifest('.').devDependencies ?? {})
    expect(codeOf(members).flatMap(([file, member]) => house.importsUndeclared(file, member, shared))).toEqual([])
  })

  test('no package reaches into the files of another', () => {
    expect(codeOf(members).flatMap(([file, { folder }]) => house.importsByPath(file, folder))).toEqual([])
  })

  test('third-party packages at run time are the ones decided for', () => {
    expect(packages.flatMap(house.foreignDependencies)).toEqual([])
  })
})

describe('the core', () => {
  test('takes time, chance and the outside world as arguments', () => {
    expect(sources.flatMap(house.outsideWorldInCore)).toEqual([])
  })
})

describe('files', () => {
  test('a source file opens with what lives there', () => {
    expect(sources.flatMap(house.withoutHeader)).toEqual([])
  })

  test('a source file fits a few screens', () => {
    expect(sources.flatMap(house.tooLong)).toEqual([])
  })

  test('no file names a path or a registry of one machine', () => {
    expect(files.flatMap(house.machineTraces)).toEqual([])
  })

  test('no test is singled out or left out', () => {
    expect(tests.flatMap(house.narrowedTests)).toEqual([])
  })

  test('relative links in Markdown lead somewhere', () => {
    expect(files.filter(({ path }) => path.endsWith('.md')).flatMap(house.brokenLinks)).toEqual([])
  })
})

describe('the family', () => {
  test('every package has the same entries', () => {
    expect(packages.flatMap(house.missingEntries)).toEqual([])
  })

  test('all versions are equal', () => {
    expect([...new Set(members.map(({ manifest }) => manifest.version))]).toHaveLength(1)
  })

  test('every public entry has a source that the compiler and the build know', () => {
    expect(packages.flatMap(house.entriesAstray)).toEqual([])
  })
})

describe('the rules bite', () => {
  const file = (path: string, text: string) => ({ path, text })

  test('an import that points up is found, in whatever form it is written', () => {
    const upward = ["import '@tidemark/sync'", "export * from '@tidemark/sync/run'", "await import('@tidemark/sync')"]
    for (const text of upward) expect(house.importsUpward(file('packages/protocol/src/a.ts', text))).toHaveLength(1)
    expect(house.importsUpward(file('packages/sync/src/a.ts', "import {\n  x,\n} from '@tidemark/protocol'"))).toEqual(
      [],
    )
  })

  test('a clock in the core is found, and one in a comment or in the runner is not', () => {
    const clock = 'const now = Date.now()'
    expect(house.outsideWorldInCore(file('packages/sync/src/core.ts', clock))).toHaveLength(1)
    expect(house.outsideWorldInCore(file('packages/sync/src/core.ts', `// never: ${clock}`))).toEqual([])
    expect(house.outsideWorldInCore(file('packages/sync/src/run-effects.ts', clock))).toEqual([])
  })

  test('a path of one machine is found, and an address or a relative path is not', () => {
    const paths = [`read('/${'work'}/main/x')`, `cd /${'farm'}/y`]
    for (const text of paths) expect(house.machineTraces(file('a.md', text))).toHaveLength(1)
    expect(house.machineTraces(file('a.md', 'https://example.org/work/x and ../work/x'))).toEqual([])
  })

  test('a broken link is found, and one to the outside or in code is not', () => {
    expect(
      house.brokenLinks(file('README.md', '[a](nowhere.md) [b](package.json#x) [c](https://example.org)')),
    ).toEqual(['README.md: links to nowhere.md, which does not exist'])
    expect(house.brokenLinks(file('README.md', '```\n[a](nowhere.md)\n```\n`[b](nowhere.md)`'))).toEqual([])
  })
})

function codeOf(members: WorkspacePackage[]): [file: house.TextFile, member: WorkspacePackage][] {
  const code = files.filter(house.isCode)
  return members.flatMap((member) =>
    code
      .filter(({ path }) => path.startsWith(`${member.folder}/`))
      .map((file): [house.TextFile, WorkspacePackage] => [file, member]),
  )
}
