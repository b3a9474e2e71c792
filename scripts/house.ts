/**
 * The house rules as data and as small functions, so that house.test.ts reads as the list of rules.
 *
 * Every function answers a list of plain messages, one per violation, each saying what to do. An empty list is a pass.
 * Not here: what the compiler and the linter check by themselves.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { publicEntries, root, type WorkspacePackage } from './workspace.ts'

/** Which packages of the family each package may import: the graph of ARCHITECTURE.md, all arrows down. */
export const mayImport: Record<string, readonly string[]> = {
  'known-state': [],
  protocol: ['known-state'],
  storage: ['known-state', 'protocol'],
  'storage-sqlite': ['known-state', 'protocol', 'storage'],
  'storage-indexeddb': ['known-state', 'protocol', 'storage'],
  'storage-leveldb': ['known-state', 'protocol', 'storage'],
  reconciliation: ['known-state', 'protocol', 'storage'],
  sync: ['known-state', 'protocol', 'reconciliation', 'storage'],
  websocket: ['known-state', 'protocol', 'storage', 'sync'],
  client: ['known-state', 'protocol', 'reconciliation', 'storage', 'sync'],
  server: [
    'known-state',
    'protocol',
    'reconciliation',
    'storage',
    'storage-leveldb',
    'storage-sqlite',
    'sync',
    'websocket',
  ],
  simulator: ['client', 'known-state', 'protocol', 'reconciliation', 'server', 'storage', 'sync'],
}

/** Third-party packages needed at run time. A package that is not named has none. */
export const thirdParty: Record<string, readonly string[]> = {
  'storage-sqlite': ['better-sqlite3'],
  'storage-indexeddb': ['idb'],
  'storage-leveldb': ['abstract-level', 'classic-level'],
  websocket: ['ws'],
  server: ['@noble/hashes'],
}

/** Packages in which time is an argument and nothing is left to chance. */
export const corePackages: readonly string[] = ['known-state', 'protocol', 'reconciliation', 'sync']

/** Where the outside world meets the core: the runner performs effects with an injected clock. */
const runner = /^packages\/sync\/src\/run[^/]*\.ts$/

export const sourceLinesMax = 400

const packageEntries = ['README.md', 'package.json', 'src', 'test', 'tsconfig.json', 'tsup.config.ts']

export interface TextFile {
  /** Relative to the root, with forward slashes. */
  path: string
  text: string
}

/** Every text file that git tracks or would track, by path. */
export function textFiles(): TextFile[] {
  const list = ['ls-files', '--cached', '--others', '--exclude-standard', '-z']
  return execFileSync('git', list, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
    .split('\0')
    .filter((path) => path !== '' && existsSync(join(root, path)))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
    .filter(({ text }) => !text.includes('\0'))
}

export function isSource({ path }: TextFile): boolean {
  return /^(packages|apps)\/[^/]+\/src\/.+\.tsx?$/.test(path)
}

export function isCode({ path }: TextFile): boolean {
  return /\.(m?js|tsx?)$/.test(path)
}

export function isTest({ path }: TextFile): boolean {
  return /\.test\.tsx?$/.test(path)
}

/** What a module names after `from` or in `import(…)`, comments left out. */
export function importsOf(text: string): string[] {
  const named = /\bfrom\s*'([^'\n]+)'|\bimport\s*\(?\s*'([^'\n]+)'/g
  return [...withoutComments(text).matchAll(named)].map((match) => match[1] ?? match[2] ?? '')
}

export function importsUpward(file: TextFile): string[] {
  const name = /^packages\/([^/]+)\/src\//.exec(file.path)?.[1]
  if (name === undefined) return []
  const allowed = mayImport[name]
  if (allowed === undefined) return [`packages/${name}: give it a place in the graph, in scripts/house.ts`]
  return importsOf(file.text)
    .filter((specifier) => specifier.startsWith('@tidemark/'))
    .filter((specifier) => ![name, ...allowed].includes(specifier.split('/')[1] ?? ''))
    .map((specifier) => `${file.path}: imports ${specifier}, which is not below ${name} in the package graph`)
}

/** Source may use what the package depends on; tests also what it is developed with, and what the root brings for all. */
export function importsUndeclared(file: TextFile, { folder, manifest }: WorkspacePackage, shared: string[]): string[] {
  const runtime = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies, [manifest.name]: '' })
  const inSource = file.path.startsWith(`${folder}/src/`)
  const declared = inSource ? runtime : [...runtime, ...Object.keys(manifest.devDependencies ?? {}), ...shared]
  return importsOf(file.text)
    .map(packageName)
    .filter((name) => name !== undefined && !declared.includes(name))
    .map((name) => `${file.path}: imports ${name}; add it to the dependencies in ${folder}/package.json`)
}

/** `@scope/name` or `name`; nothing for relative paths and Node's own modules. */
function packageName(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('/') || specifier.startsWith('node:')) return undefined
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** Tests and measurements may also use what stands in `scripts/` for all of them. */
export function importsByPath(file: TextFile, folder: string): string[] {
  const allowed = file.path.startsWith(`${folder}/src/`) ? [`${folder}/`] : [`${folder}/`, 'scripts/']
  return importsOf(file.text)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => ({ specifier, target: slashes(join(dirname(file.path), specifier)) }))
    .filter(({ target }) => !allowed.some((start) => target.startsWith(start)))
    .map(({ specifier }) => specifier)
    .map((specifier) => `${file.path}: reaches into ${specifier}; import a package by its name`)
}

export function foreignDependencies({ folder, manifest }: WorkspacePackage): string[] {
  const allowed = thirdParty[folder.replace('packages/', '')] ?? []
  const declared = Object.keys({
    ...manifest.dependencies,
    ...manifest.peerDependencies,
    ...manifest.optionalDependencies,
  }).filter((name) => !name.startsWith('@tidemark/'))
  const tooMany = declared.filter((name) => !allowed.includes(name))
  const missing = allowed.filter((name) => !declared.includes(name))
  return [
    ...tooMany.map((name) => `${folder} depends on ${name}; do without it, or decide for it in scripts/house.ts`),
    ...missing.map((name) => `${folder} no longer depends on ${name}; take it off the list in scripts/house.ts`),
  ]
}

const outsideWorld: readonly [what: string, pattern: RegExp][] = [
  ['a clock', /\bDate\.now\b|\bnew Date\b|\bperformance\.now\b/],
  ['a timer', /\bset(Timeout|Interval|Immediate)\b/],
  ['chance', /\bMath\.random\b|\bgetRandomValues\b|\brandomUUID\b/],
  ['a module of Node', /['"]node:/],
]

export function outsideWorldInCore(file: TextFile): string[] {
  const name = /^packages\/([^/]+)\/src\//.exec(file.path)?.[1] ?? ''
  if (!corePackages.includes(name) || runner.test(file.path)) return []
  const code = withoutComments(file.text)
  return outsideWorld
    .filter(([, pattern]) => pattern.test(code))
    .map(([what]) => `${file.path}: uses ${what}; take it as an argument`)
}

export function withoutHeader({ path, text }: TextFile): string[] {
  const opening = text.replace(/^#!.*\n/, '')
  return opening.startsWith('/**') ? [] : [`${path}: open it with a /** comment that says what lives there`]
}

export function tooLong({ path, text }: TextFile): string[] {
  const lines = text.trimEnd().split('\n').length
  return lines <= sourceLinesMax ? [] : [`${path}: ${lines} lines, ${sourceLinesMax} at most; split it by subject`]
}

// Written in pieces, so that this file does not break the rule it states.
const machinePath = new RegExp(
  `(?<![\\w.~)}\\]-])/(?:${['wo' + 'rk', 'fa' + 'rm', 'ro' + 'ot', 'tmp/bash' + '_jobs'].join('|')})/`,
)
const registryHost = new RegExp(
  `https?://registry${'\\.'}|\\bregistry${'\\.'}npmjs|npm${'pkg'}\\.com/|\\.jfrog\\.`,
  'i',
)

export function machineTraces({ path, text }: TextFile): string[] {
  return linesMatching(text, machinePath)
    .map((line) => `${path}:${line}: names a path of one machine; resolve it from import.meta.url`)
    .concat(linesMatching(text, registryHost).map((line) => `${path}:${line}: names a registry host; leave it out`))
}

const narrowed = /\.(only|skip|todo)\s*\(/

export function narrowedTests({ path, text }: TextFile): string[] {
  return linesMatching(withoutComments(text), narrowed).map(
    (line) => `${path}:${line}: runs less than all tests; undo it`,
  )
}

export function missingEntries({ folder }: WorkspacePackage): string[] {
  return packageEntries
    .filter((entry) => !existsSync(join(root, folder, entry)))
    .map((entry) => `${folder}: add ${entry}; every package has the same entries`)
}

/** A public entry is named in `exports`, in tsup.config.ts and, below a package, in the `paths` of tsconfig.base.json. */
export function entriesAstray({ folder, manifest }: WorkspacePackage): string[] {
  const { paths } = JSON.parse(readFileSync(join(root, 'tsconfig.base.json'), 'utf8')).compilerOptions
  const built = readFileSync(join(root, folder, 'tsup.config.ts'), 'utf8')
  return publicEntries({ folder, manifest }).flatMap(({ specifier, source }) => {
    const file = source.slice(folder.length + 1)
    const compiled = specifier === manifest.name || paths[`${manifest.name}/*`]?.[0] === `./${folder}/src/*.ts`
    return [
      ...(existsSync(join(root, source)) ? [] : [`${specifier}: add ${source}, or take it out of the exports`]),
      ...(built.includes(`'${file}'`) ? [] : [`${specifier}: add ${file} to ${folder}/tsup.config.ts`]),
      ...(compiled ? [] : [`${specifier}: add "${manifest.name}/*" to the paths in tsconfig.base.json`]),
    ]
  })
}

/** Relative links of a Markdown file whose target does not exist; code is not read for links. */
export function brokenLinks({ path, text }: TextFile): string[] {
  const prose = text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '')
  const targets = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)|^\[[^\]]+\]:\s*<?([^\s>]+)/gm)]
  return targets
    .map((match) => decodeURI((match[1] ?? match[2] ?? '').replace(/[#?].*$/, '')))
    .filter((target) => target !== '' && !/^[a-z][a-z+.-]*:/i.test(target))
    .filter((target) => !existsSync(join(root, target.startsWith('/') ? '' : dirname(path), target)))
    .map((target) => `${path}: links to ${target}, which does not exist`)
}

/** Comments become blanks, line breaks stay. A `//` after anything but a space is left alone: it may be an address. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' ')).replace(/(^|\s)\/\/.*$/gm, '$1')
}

function linesMatching(text: string, pattern: RegExp): number[] {
  return text.split('\n').flatMap((line, index) => (pattern.test(line) ? [index + 1] : []))
}

function slashes(path: string): string {
  return normalize(path).replaceAll('\\', '/')
}
