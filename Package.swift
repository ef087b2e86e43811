// swift-tools-version: 6.1
import PackageDescription

// Set by scripts/test. Flags per target, because the same flags on the command line would reach the dependencies too.
let warningsAreErrors = Context.environment["KEDGE_WARNINGS_AS_ERRORS"] == "1"

// Every Swift target: Swift 6 mode, honest imports, and AVX2 code generation (see docs/decisions/0004-instruction-set.md).
let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .unsafeFlags(["-Xcc", "-march=x86-64-v3"] + (warningsAreErrors ? ["-warnings-as-errors"] : [])),
]
let cSettings: [CSetting] = warningsAreErrors ? [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])] : []

/// A library target. Dependencies are listed in full: a target imports only what stands above it in this file.
func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

/// The test target that mirrors one module.
func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.byName(name: name), "TestSupport"] + dependencies, resources: resources,
        swiftSettings: swiftSettings)
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
    name: "kedge",
    products: [.executable(name: "kedge", targets: ["kedge"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // C: system libraries and shims, no policy.
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "COpenMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
        .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg62-turbo-dev"])]),
        .target(name: "CImageCodecs", dependencies: ["CPNG", "CJPEG"], cSettings: cSettings),
        .target(name: "CFileSystem", cSettings: cSettings),
        .target(name: "CMachine", cSettings: cSettings),

        // Modules, bottom up.
        module("PlainText", []),
        module("FaultInjection", []),
        module("JSONReading", []),
        module("Machine", ["COpenBLAS", "CMachine"]),
        module("Tensors", ["Machine"]),
        module("Kernels", ["Machine", "Tensors", "COpenBLAS"]),
        module("Recipes", ["PlainText", yams]),
        module("WeightFiles", ["PlainText", "FaultInjection", "JSONReading", "Tensors", "COpenSSL", "CZlib"]),
        module("Layers", ["Tensors", "Kernels"]),
        module("SegmentAnything", ["Machine", "Tensors", "Kernels", "Layers", "WeightFiles", "Recipes"]),
        module("Adapters", ["Tensors", "Kernels", "Layers", "WeightFiles", "SegmentAnything", "Recipes"]),
        module("Routing", ["Tensors", "Kernels", "Layers", "WeightFiles", "SegmentAnything"]),
        module("Interaction", []),
        module("Imaging", ["PlainText", "CImageCodecs"]),
        module(
            "Datasets",
            [
                "PlainText", "CFileSystem", "JSONReading", "Machine", "Tensors", "Kernels", "Interaction", "Imaging",
                "Recipes",
            ]),
        module("DataTools", ["PlainText", "WeightFiles", "Tensors", "Imaging", "Datasets"]),
        module(
            "AdaptationMethods",
            ["Interaction", "Tensors", "Kernels", "Layers", "SegmentAnything", "Adapters", "Routing", "Recipes"]),
        module(
            "Planning",
            ["Tensors", "Kernels", "Layers", "SegmentAnything", "Adapters", "AdaptationMethods"]),
        module("Collectives", ["COpenMPI"]),
        module("CheckpointStore", ["PlainText", "FaultInjection", "Machine", "Tensors", "WeightFiles", "Collectives"]),
        module("Telemetry", ["PlainText"]),
        module(
            "ModelLoading",
            [
                "Machine", "Tensors", "WeightFiles", "Layers", "SegmentAnything", "Adapters", "Datasets", "Recipes",
                "Collectives", "Telemetry",
            ]),
        module(
            "Evaluation",
            [
                "Interaction", "Tensors", "Kernels", "Layers", "SegmentAnything", "Adapters", "Routing",
                "Imaging", "Datasets", "Recipes", "AdaptationMethods", "Collectives", "Telemetry", "ModelLoading",
            ]),
        module(
            "Training",
            [
                "FaultInjection", "Machine", "Tensors", "Kernels", "WeightFiles", "Layers", "SegmentAnything",
                "Adapters", "Interaction", "Imaging", "Datasets", "Recipes", "AdaptationMethods", "Collectives",
                "CheckpointStore",
                "Telemetry", "Evaluation",
            ]),
        module(
            "Runs",
            [
                "PlainText", "FaultInjection", "Machine", "Tensors", "Kernels", "WeightFiles", "Layers",
                "SegmentAnything", "Adapters", "Routing", "Interaction", "Imaging", "Datasets", "Recipes",
                "AdaptationMethods", "Planning", "Collectives", "CheckpointStore", "Telemetry", "ModelLoading",
                "Evaluation", "Training",
            ]),
        module(
            "Diagnosis",
            [
                "Machine", "Kernels", "WeightFiles", "SegmentAnything", "Recipes", "Planning", "Collectives",
                "Telemetry", "ModelLoading", "Runs",
            ]),
        module(
            "Benchmarking",
            [
                "Machine", "Tensors", "Kernels", "WeightFiles", "Layers", "SegmentAnything", "Adapters", "Routing",
                "Datasets", "DataTools", "AdaptationMethods", "Planning", "Collectives", "Telemetry", "ModelLoading",
                "Runs",
            ]),
        // Compiled again after each commit, and so a module that only the program imports.
        .plugin(name: "RevisionPlugin", capability: .buildTool()),
        .target(name: "Revision", swiftSettings: swiftSettings, plugins: ["RevisionPlugin"]),
        .executableTarget(
            name: "kedge",
            dependencies: [
                "Revision",
                "PlainText", "FaultInjection", "Machine", "Kernels", "WeightFiles", "Layers", "SegmentAnything",
                "Adapters", "Routing", "Interaction",
                "Imaging", "Datasets", "DataTools", "Recipes", "AdaptationMethods", "Planning", "Collectives",
                "CheckpointStore", "Telemetry", "ModelLoading", "Evaluation", "Training", "Runs", "Diagnosis",
                "Benchmarking", argumentParser,
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "mpi-conformance", dependencies: ["Collectives", "CollectivesConformance"],
            path: "Tests/MPIConformance", swiftSettings: swiftSettings),

        // Tests mirror the modules.
        .target(
            name: "TestSupport", dependencies: ["Tensors", "WeightFiles"], path: "Tests/TestSupport",
            swiftSettings: swiftSettings),
        tests("PlainText", []),
        tests("FaultInjection", []),
        tests("JSONReading", []),
        tests("Machine", []),
        tests("Tensors", []),
        tests("Kernels", ["Machine", "Tensors"]),
        tests("Recipes", []),
        tests("WeightFiles", ["Tensors"], resources: [.copy("Fixtures")]),
        tests("Layers", ["Tensors", "Kernels"]),
        tests(
            "SegmentAnything", ["Machine", "Tensors", "Kernels", "Layers", "WeightFiles", "Imaging"],
            resources: [.copy("Fixtures")]),
        tests("Adapters", ["Machine", "Tensors", "Kernels", "Layers", "WeightFiles", "SegmentAnything"]),
        tests("Routing", ["Machine", "Tensors", "Kernels", "Layers", "WeightFiles", "SegmentAnything"]),
        tests("Interaction", ["Tensors", "WeightFiles"], resources: [.copy("Fixtures")]),
        tests("Imaging", [], resources: [.copy("Fixtures")]),
        .target(
            name: "DatasetTestSupport", dependencies: ["TestSupport", "Imaging", "Datasets"],
            path: "Tests/DatasetTestSupport", swiftSettings: swiftSettings),
        tests(
            "Datasets", ["Tensors", "WeightFiles", "Imaging", "DatasetTestSupport"],
            resources: [.copy("Fixtures")]),
        tests("DataTools", ["Tensors", "Imaging", "Datasets", "DatasetTestSupport"], resources: [.copy("Fixtures")]),
        tests(
            "AdaptationMethods",
            [
                "Interaction", "Machine", "Tensors", "Kernels", "Layers", "WeightFiles", "SegmentAnything", "Adapters",
                "Routing", "Recipes",
            ],
            resources: [.copy("Fixtures")]),
        .target(
            name: "CollectivesConformance", dependencies: ["Collectives"], path: "Tests/CollectivesConformance",
            swiftSettings: swiftSettings),
        tests(
            "Planning",
            [
                "Tensors", "Kernels", "Layers", "SegmentAnything", "Adapters",
                "AdaptationMethods", "Benchmarking",
            ]),
        tests("Collectives", ["CollectivesConformance"]),
        tests("CheckpointStore", ["Collectives", "WeightFiles"]),
        tests("Telemetry", ["Machine"]),
        tests(
            "Evaluation",
            [
                "Interaction", "Machine", "Tensors", "Kernels", "Layers", "WeightFiles", "SegmentAnything", "Adapters",
                "Imaging", "Datasets", "ModelLoading",
            ],
            resources: [.copy("Fixtures")]),
        tests(
            "Training",
            [
                "Machine", "Tensors", "Imaging", "Datasets", "Collectives", "Telemetry",
            ]),
        tests(
            "Runs",
            [
                "Machine", "Tensors", "Kernels", "Layers", "SegmentAnything", "Adapters", "Routing", "Imaging",
                "Datasets", "DataTools", "Recipes", "AdaptationMethods", "Planning", "Collectives", "CheckpointStore",
                "Telemetry",
                "ModelLoading", "Evaluation", "Training", "WeightFiles", "DatasetTestSupport",
            ]),
        tests("Diagnosis", ["Machine", "Kernels", "Planning", "Collectives", "Telemetry"]),
        tests(
            "Benchmarking",
            [
                "Machine", "Tensors", "Kernels", "WeightFiles", "Layers", "SegmentAnything", "Adapters",
                "AdaptationMethods", "Planning", "Collectives", "Telemetry", "Runs",
            ]),

        // Parsers on hostile input: inputs in the suites of the usual build, libFuzzer with sanitizers in scripts/fuzz.
        .target(
            name: "Fuzzing",
            dependencies: [
                "Tensors", "WeightFiles", "Layers", "SegmentAnything", "Adapters", "Routing", "Imaging", "Datasets",
                "Recipes", "CheckpointStore", "Training", "Runs", "CZlib",
            ], path: "Tests/Fuzzing", exclude: ["generate_corpus.py"],
            resources: [.copy("Corpus")], swiftSettings: swiftSettings),
        tests("Fuzzing", []),
    ]
)

// The fuzz driver needs the runtime of libFuzzer, which scripts/fuzz names to the linker.
if Context.environment["KEDGE_FUZZ"] == "1" {
    package.targets += [
        .target(name: "FuzzMemory", path: "Tests/FuzzMemory", cSettings: cSettings),
        .executableTarget(
            name: "kedge-fuzz", dependencies: ["Fuzzing", "FuzzMemory", "Tensors"], path: "Tests/FuzzDriver",
            swiftSettings: swiftSettings, linkerSettings: [.linkedLibrary("stdc++")]),
    ]
}

// scripts/docs builds the documentation of public symbols with this plugin, which nothing else needs.
if Context.environment["KEDGE_DOCS"] == "1" {
    package.dependencies.append(.package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.4.3"))
}
