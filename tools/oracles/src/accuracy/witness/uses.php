<?php
// Prints what names and includes in PHP files mean: a line "use FROM TO LINE NAME" for each name
// that a file FROM writes and a file TO declares, a line "include FROM TO LINE NAME" for each
// include of a constant path, and a line "seen FILE" for each file that nikic/php-parser parses.
//
// Names are resolved by its NameResolver. A class is where composer's optimised class map has it;
// what composer does not load is where the one file that declares it says so. Arguments: the
// directory that composer has written `vendor` into, and a file with one path a line.

use PhpParser\ConstExprEvaluator;
use PhpParser\Node;
use PhpParser\Node\Expr;
use PhpParser\Node\Scalar\MagicConst;
use PhpParser\Node\Stmt;

require '/usr/share/php/PhpParser/autoload.php';
require '/usr/share/php/Composer/Autoload/ClassLoader.php';

/** Names and includes of one file. */
final class Reader extends PhpParser\NodeVisitorAbstract
{
    /** @var array<array{string, string}> kind and full name of what is declared */
    public array $declares = [];
    /** @var array<array{string, string, ?string, int}> kind, full name, the global one it may fall back to, line */
    public array $uses = [];
    /** @var array<array{string, int}> path and line */
    public array $includes = [];
    /** @var string[] directories that the file puts on the include path */
    public array $includePath = [];

    public function __construct(private string $path)
    {
    }

    public function enterNode(Node $node)
    {
        if ($node instanceof Stmt\ClassLike || $node instanceof Stmt\Function_) {
            if (isset($node->namespacedName)) {
                $this->declares[] = [$node instanceof Stmt\Function_ ? 'function' : 'class', (string) $node->namespacedName];
            }
        } elseif ($node instanceof Stmt\Const_) {
            foreach ($node->consts as $const) {
                $this->declares[] = ['const', (string) $const->namespacedName];
            }
        } elseif ($node instanceof Stmt\Use_ || $node instanceof Stmt\GroupUse) {
            $kinds = [Stmt\Use_::TYPE_FUNCTION => 'function', Stmt\Use_::TYPE_CONSTANT => 'const'];
            foreach ($node->uses as $use) {
                $name = isset($node->prefix) ? Node\Name::concat($node->prefix, $use->name) : $use->name;
                $kind = $kinds[$use->type ?: $node->type] ?? 'class';
                $this->uses[] = [$kind, (string) $name, null, $use->getStartLine()];
            }
            return PhpParser\NodeTraverser::DONT_TRAVERSE_CHILDREN;
        } elseif ($node instanceof Expr\FuncCall && $node->name instanceof Node\Name) {
            $this->name('function', $node->name);
            $argument = $node->args[0]->value ?? null;
            if ($node->name->toLowerString() === 'define' && $argument instanceof Node\Scalar\String_) {
                $this->declares[] = ['const', ltrim($argument->value, '\\')];
            } elseif ($node->name->toLowerString() === 'set_include_path' && $argument !== null) {
                $this->includePath = explode(PATH_SEPARATOR, $this->value($argument) ?? '');
            }
        } elseif ($node instanceof Expr\ConstFetch) {
            $this->name('const', $node->name);
        } elseif ($node instanceof Node\Name\FullyQualified && !$node->getAttribute('other')) {
            $this->name('class', $node);
        } elseif ($node instanceof Expr\Include_) {
            $this->include($node);
        }
        return null;
    }

    private function name(string $kind, Node\Name $name): void
    {
        // The resolver leaves what may be the global function or constant as it is written.
        $namespaced = $name->getAttribute('namespacedName');
        $this->uses[] = [$kind, (string) ($namespaced ?? $name), $namespaced ? (string) $name : null, $name->getStartLine()];
        // Functions and constants are visited before their names are.
        $name->setAttribute('other', true);
    }

    private function include(Expr\Include_ $node): void
    {
        $path = $this->value($node->expr);
        if ($path !== null) {
            $this->includes[] = [$path, $node->getStartLine()];
        }
    }

    /** The value of an expression that says where files are; none where only a run knows. */
    private function value(Expr $expression): ?string
    {
        $evaluator = new ConstExprEvaluator(function (Expr $expr) use (&$evaluator) {
            if ($expr instanceof MagicConst\Dir) {
                return dirname($this->path);
            }
            if ($expr instanceof MagicConst\File) {
                return $this->path;
            }
            if ($expr instanceof Expr\ConstFetch && in_array((string) $expr->name, ['PATH_SEPARATOR', 'DIRECTORY_SEPARATOR'])) {
                return constant((string) $expr->name);
            }
            $function = $expr instanceof Expr\FuncCall && $expr->name instanceof Node\Name ? $expr->name->toLowerString() : '';
            if (in_array($function, ['dirname', 'get_include_path'])) {
                return $function(...array_map(fn ($arg) => $evaluator->evaluateDirectly($arg->value), $expr->args));
            }
            throw new PhpParser\ConstExprEvaluationException('not constant');
        });
        try {
            return (string) $evaluator->evaluateDirectly($expression);
        } catch (PhpParser\ConstExprEvaluationException) {
            return null;
        }
    }
}

/** Names of classes and functions know no case. */
function key_of(string $kind, string $name): string
{
    return $kind . ' ' . ($kind === 'const' ? $name : strtolower($name));
}

/** What PHP itself brings; it cannot be declared again. */
function is_internal(string $kind, string $name): bool
{
    return match ($kind) {
        'class' => (class_exists($name, false) || interface_exists($name, false)) && (new ReflectionClass($name))->isInternal(),
        'function' => function_exists($name) && (new ReflectionFunction($name))->isInternal(),
        default => defined($name),
    };
}

[, $root, $list] = $argv;
$root = realpath($root);
$parser = (new PhpParser\ParserFactory())->create(PhpParser\ParserFactory::PREFER_PHP7);
$files = [];
foreach (file($list, FILE_IGNORE_NEW_LINES) as $path) {
    $reader = new Reader("$root/$path");
    $traverser = new PhpParser\NodeTraverser();
    $traverser->addVisitor(new PhpParser\NodeVisitor\NameResolver());
    $traverser->addVisitor($reader);
    try {
        $traverser->traverse($parser->parse(file_get_contents("$root/$path")));
        $files[$path] = $reader;
    } catch (PhpParser\Error) {
        // Not the PHP of this parser.
    }
}

$declared = [];
foreach ($files as $path => $reader) {
    foreach ($reader->declares as [$kind, $name]) {
        $declared[key_of($kind, $name)][$path] = true;
    }
}
$inside = fn (string $path): string => substr($path, strlen($root) + 1);
// Composer writes the lists of which it has something to say.
$listed = function (string $name) use ($root, $inside): array {
    $list = "$root/vendor/composer/autoload_$name.php";
    return is_file($list) ? array_map(fn (string $path) => $inside(realpath($path)), require $list) : [];
};
$loaded = array_intersect($listed('classmap'), array_keys($files));
$always = $listed('files');
$composer = new Composer\Autoload\ClassLoader();
foreach (['psr4' => 'setPsr4', 'namespaces' => 'set'] as $name => $set) {
    $list = "$root/vendor/composer/autoload_$name.php";
    foreach (is_file($list) ? require $list : [] as $prefix => $directories) {
        $composer->$set($prefix, $directories);
    }
}

/** The file that a name is loaded from; none where PHP has it, or where several files declare it. */
$find = function (string $from, string $kind, string $name) use ($declared, $loaded, $always, $composer, $inside): ?string {
    $files = $declared[key_of($kind, $name)] ?? [];
    if (isset($files[$from])) {
        return $from;
    }
    // Of its own class, composer's map has the copy that it writes; its rule for prefixes has not.
    $file = $kind === 'class' ? $loaded[$name] ?? $inside((string) $composer->findFile($name)) : '';
    if ($file !== '') {
        return $file;
    }
    if (is_internal($kind, $name)) {
        return null;
    }
    $first = array_intersect($always, array_keys($files));
    return $first ? reset($first) : (count($files) === 1 ? array_key_first($files) : null);
};
$includePath = array_merge(...array_map(fn ($reader) => $reader->includePath, array_values($files)));
$includePath = array_map(fn ($path) => "$path/", array_filter(array_unique($includePath), fn ($path) => str_starts_with($path, '/')));
foreach ($files as $from => $reader) {
    echo "seen\t$from\n";
    foreach ($reader->uses as [$kind, $name, $global, $line]) {
        $to = $find($from, $kind, $name) ?? ($global === null ? null : $find($from, $kind, $global));
        if ($to !== null && $to !== $from) {
            echo "use\t$from\t$to\t$line\t$name\n";
        }
    }
    foreach ($reader->includes as [$path, $line]) {
        // A relative path is looked for on the include path, beside the including file and in the
        // working directory, which is the project's.
        $bases = [...$includePath, dirname("$root/$from") . '/', "$root/"];
        $bases = match (true) {
            str_starts_with($path, '/') => [''],
            str_starts_with($path, '.') => array_slice($bases, -2),
            default => $bases,
        };
        foreach ($bases as $base) {
            $to = realpath($base . $path);
            if ($to && isset($files[$inside($to)]) && $inside($to) !== $from) {
                echo "include\t$from\t{$inside($to)}\t$line\t$path\n";
                break;
            }
        }
    }
}
