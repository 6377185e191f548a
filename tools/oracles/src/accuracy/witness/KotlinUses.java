import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.jetbrains.kotlin.cli.common.CLIConfigurationKeys;
import org.jetbrains.kotlin.cli.common.config.ContentRootsKt;
import org.jetbrains.kotlin.cli.common.messages.MessageCollector;
import org.jetbrains.kotlin.cli.jvm.compiler.CliBindingTrace;
import org.jetbrains.kotlin.cli.jvm.compiler.EnvironmentConfigFiles;
import org.jetbrains.kotlin.cli.jvm.compiler.KotlinCoreEnvironment;
import org.jetbrains.kotlin.cli.jvm.compiler.TopDownAnalyzerFacadeForJVM;
import org.jetbrains.kotlin.cli.jvm.config.JvmContentRootsKt;
import org.jetbrains.kotlin.com.intellij.openapi.util.Disposer;
import org.jetbrains.kotlin.com.intellij.openapi.util.text.StringUtil;
import org.jetbrains.kotlin.com.intellij.psi.PsiElement;
import org.jetbrains.kotlin.com.intellij.psi.PsiErrorElement;
import org.jetbrains.kotlin.com.intellij.psi.util.PsiTreeUtil;
import org.jetbrains.kotlin.config.ApiVersion;
import org.jetbrains.kotlin.config.CommonConfigurationKeys;
import org.jetbrains.kotlin.config.CommonConfigurationKeysKt;
import org.jetbrains.kotlin.config.CompilerConfiguration;
import org.jetbrains.kotlin.config.LanguageFeature;
import org.jetbrains.kotlin.config.LanguageVersion;
import org.jetbrains.kotlin.config.LanguageVersionSettingsImpl;
import org.jetbrains.kotlin.descriptors.CallableDescriptor;
import org.jetbrains.kotlin.descriptors.ClassDescriptor;
import org.jetbrains.kotlin.descriptors.ConstructorDescriptor;
import org.jetbrains.kotlin.descriptors.DeclarationDescriptor;
import org.jetbrains.kotlin.descriptors.PackageFragmentDescriptor;
import org.jetbrains.kotlin.descriptors.TypeAliasDescriptor;
import org.jetbrains.kotlin.descriptors.impl.TypeAliasConstructorDescriptor;
import org.jetbrains.kotlin.psi.KtFile;
import org.jetbrains.kotlin.psi.KtSimpleNameExpression;
import org.jetbrains.kotlin.resolve.BindingContext;
import org.jetbrains.kotlin.resolve.DescriptorToSourceUtils;
import org.jetbrains.kotlin.resolve.calls.util.FakeCallableDescriptorForObject;

/**
 * Prints what the Kotlin compiler resolves names to: a line "use FROM TO LINE NAME" for each name in
 * a file FROM that means a type, or a function or property outside of types, of a file TO, and a
 * line "seen FILE" for each file without an error of syntax. For names that the compiler does not
 * find, because a library is not there, there are lines "open FROM NAME". What stands below a directory `common` is
 * a module of its own, which sees nothing else, as its build has it; the rest is compiled together
 * with it for the Java machine. Arguments: a directory, a file with one path a line, and the
 * libraries there are.
 */
public final class KotlinUses {
    private static final Pattern PACKAGE = Pattern.compile("(?m)^\\s*package\\s+([\\w.]+)\\s*;");
    private static final Pattern NAME = Pattern.compile("`[^`]+`|[\\p{L}_][\\p{L}\\p{N}_]*");

    public static void main(String[] arguments) throws Exception {
        Path root = Path.of(arguments[0]).toRealPath();
        List<String> paths = Files.readAllLines(Path.of(arguments[1]));
        List<String> common = paths.stream().filter(KotlinUses::isCommon).toList();
        List<String> libraries = List.of(arguments).subList(2, arguments.length);
        if (!common.isEmpty()) {
            analyse(root, common, libraries, true);
        }
        analyse(root, paths, libraries, false);
        System.out.flush();
        System.exit(0);
    }

    private static boolean isCommon(String path) {
        return List.of(path.split("/")).contains("common");
    }

    /** Compiles all files together, and prints what those of the common module use, or the others. */
    private static void analyse(Path root, List<String> paths, List<String> libraries, boolean common) throws Exception {
        CompilerConfiguration configuration = new CompilerConfiguration();
        configuration.put(CLIConfigurationKeys.MESSAGE_COLLECTOR_KEY, MessageCollector.Companion.getNONE());
        configuration.put(CommonConfigurationKeys.MODULE_NAME, "witness");
        Map<LanguageFeature, LanguageFeature.State> features = new EnumMap<>(LanguageFeature.class);
        features.put(LanguageFeature.MultiPlatformProjects, LanguageFeature.State.ENABLED);
        CommonConfigurationKeysKt.setLanguageVersionSettings(configuration, new LanguageVersionSettingsImpl(
                LanguageVersion.KOTLIN_1_9, ApiVersion.KOTLIN_1_9, Map.of(), features));
        JvmContentRootsKt.configureJdkClasspathRoots(configuration);
        for (String library : libraries) {
            JvmContentRootsKt.addJvmClasspathRoot(configuration, new File(library));
        }
        Set<String> javaRoots = new TreeSet<>();
        for (String path : paths) {
            if (path.endsWith(".java")) {
                javaRoots.add(javaRoot(root, path));
            } else {
                ContentRootsKt.addKotlinSourceRoot(configuration, root.resolve(path).toString(), isCommon(path), null);
            }
        }
        for (String javaRoot : javaRoots) {
            JvmContentRootsKt.addJavaSourceRoot(configuration, new File(javaRoot), null);
        }
        KotlinCoreEnvironment environment = KotlinCoreEnvironment.Companion.createForProduction(
                Disposer.newDisposable(), configuration, EnvironmentConfigFiles.JVM_CONFIG_FILES);
        List<KtFile> files = environment.getSourceFiles();
        BindingContext context = TopDownAnalyzerFacadeForJVM.analyzeFilesWithJavaIntegration(
                environment.getProject(), files, new CliBindingTrace(), configuration,
                environment::createPackagePartProvider).getBindingContext();
        for (KtFile file : files) {
            String path = root.relativize(Path.of(file.getVirtualFilePath())).toString();
            if (isCommon(path) == common && !PsiTreeUtil.hasErrorElements(file)) {
                print(root, file, context);
            }
        }
    }

    /** The directory that the package of a Java file starts in. */
    private static String javaRoot(Path root, String path) throws Exception {
        var named = PACKAGE.matcher(Files.readString(root.resolve(path)));
        int depth = named.find() ? named.group(1).split("\\.").length : 0;
        Path directory = root.resolve(path).getParent();
        for (; depth > 0; depth--) {
            directory = directory.getParent();
        }
        return directory.toString();
    }

    private static void print(Path root, KtFile file, BindingContext context) {
        String from = root.relativize(Path.of(file.getVirtualFilePath())).toString();
        String text = file.getText();
        System.out.println("seen\t" + from);
        for (KtSimpleNameExpression name : PsiTreeUtil.findChildrenOfType(file, KtSimpleNameExpression.class)) {
            // An operator names nothing.
            if (!NAME.matcher(name.getText()).matches()) {
                continue;
            }
            Collection<? extends DeclarationDescriptor> targets = targets(name, context);
            if (targets.isEmpty()) {
                System.out.println("open\t" + from + "\t" + name.getReferencedName());
            }
            int line = StringUtil.offsetToLineNumber(text, name.getTextOffset()) + 1;
            for (DeclarationDescriptor target : targets) {
                PsiElement source = declaration(target);
                if (source == null || source.getContainingFile() == null || source.getContainingFile().getVirtualFile() == null) {
                    continue;
                }
                Path to = Path.of(source.getContainingFile().getVirtualFile().getPath());
                if (to.startsWith(root) && !to.equals(Path.of(file.getVirtualFilePath()))) {
                    System.out.println("use\t" + from + "\t" + root.relativize(to) + "\t" + line + "\t" + name.getText());
                }
            }
        }
    }

    private static Collection<? extends DeclarationDescriptor> targets(KtSimpleNameExpression name, BindingContext context) {
        DeclarationDescriptor one = context.get(BindingContext.REFERENCE_TARGET, name);
        if (one != null) {
            return List.of(one);
        }
        Collection<? extends DeclarationDescriptor> several = context.get(BindingContext.AMBIGUOUS_REFERENCE_TARGET, name);
        return several == null ? new ArrayList<>() : several;
    }

    /** Where a type, or a function or property outside of types, is declared; null for anything else. */
    private static PsiElement declaration(DeclarationDescriptor target) {
        if (target instanceof FakeCallableDescriptorForObject) {
            target = ((FakeCallableDescriptorForObject) target).getClassDescriptor();
        } else if (target instanceof TypeAliasConstructorDescriptor) {
            target = ((TypeAliasConstructorDescriptor) target).getTypeAliasDescriptor();
        } else if (target instanceof ConstructorDescriptor) {
            target = target.getContainingDeclaration();
        }
        boolean type = target instanceof ClassDescriptor || target instanceof TypeAliasDescriptor;
        boolean outer = target instanceof CallableDescriptor
                && target.getContainingDeclaration() instanceof PackageFragmentDescriptor;
        return type || outer ? DescriptorToSourceUtils.getSourceFromDescriptor(target.getOriginal()) : null;
    }
}
