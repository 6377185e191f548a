using System.Linq;
using Mono.Cecil;
using Mono.Cecil.Cil;
using Mono.Cecil.Rocks;

/// Writes a copy of the compiler mcs that calls `Log.Name` with each name it looks up and what it
/// found, and `Log.Type` with each type it defines. Arguments: the compiler, the library with
/// `Log`, the copy.
static class Weave
{
    static readonly string[] Names = { "SimpleName", "MemberAccess", "QualifiedAliasMember" };
    static readonly string[] Lookups = { "ResolveAsTypeOrNamespace", "LookupNameExpression" };

    static void Main (string[] arguments)
    {
        var compiler = AssemblyDefinition.ReadAssembly (arguments[0]).MainModule;
        var log = AssemblyDefinition.ReadAssembly (arguments[1]).MainModule.GetType ("Log");
        var name = compiler.Import (log.Methods.Single (method => method.Name == "Name"));
        var define = compiler.Import (log.Methods.Single (method => method.Name == "Type"));
        foreach (var type in compiler.Types.Where (type => Names.Contains (type.Name)))
            foreach (var method in type.Methods.Where (method => Lookups.Contains (method.Name) && method.HasBody))
                AtReturns (method, name);
        AtStart (compiler.GetType ("Mono.CSharp.TypeDefinition").Methods.Single (method => method.Name == "CreateContainer"), define);
        compiler.Write (arguments[2]);
    }

    static void AtStart (MethodDefinition method, MethodReference call)
    {
        var first = method.Body.Instructions[0];
        method.Body.GetILProcessor ().InsertBefore (first, Instruction.Create (OpCodes.Ldarg_0));
        method.Body.GetILProcessor ().InsertBefore (first, Instruction.Create (OpCodes.Call, call));
    }

    /// Puts the call before every return. The return itself is changed, as branches lead to it.
    static void AtReturns (MethodDefinition method, MethodReference call)
    {
        method.Body.SimplifyMacros ();
        foreach (var leave in method.Body.Instructions.Where (it => it.OpCode == OpCodes.Ret).ToList ()) {
            var after = new[] { Instruction.Create (OpCodes.Ldarg_0), Instruction.Create (OpCodes.Call, call), Instruction.Create (OpCodes.Ret) };
            leave.OpCode = OpCodes.Dup;
            foreach (var added in after.Reverse ())
                method.Body.GetILProcessor ().InsertAfter (leave, added);
        }
        method.Body.OptimizeMacros ();
    }
}
