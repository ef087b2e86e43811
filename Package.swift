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
func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

/// The test target that mirrors one room.
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

        // Rooms, bottom up.
        room("FaultInjection", []),
        room("Tensors", []),
        room("Kernels", ["Tensors", "COpenBLAS"]),
        room("WeightFiles", ["FaultInjection", "Tensors", "COpenSSL", "CZlib"]),
        room("Layers", ["Tensors", "Kernels"]),
        room("SegmentAnything", ["Tensors", "Kernels", "Layers", "WeightFiles"]),
        room("Adapters", ["Tensors", "Kernels", "Layers", "WeightFiles", "SegmentAnything"]),
        room("Imaging", ["CImageCodecs"]),
        room("Datasets", ["Tensors", "Imaging"]),
        room(
            "AdaptationMethods",
            ["Tensors", "Kernels", "Layers", "SegmentAnything", "Adapters", "Datasets"]),
        room(
            "Performance",
            [
                "Tensors", "Kernels", "WeightFiles", "Layers", "SegmentAnything", "Adapters",
                "AdaptationMethods",
            ]),
        room("Collectives", ["COpenMPI"]),
        room("CheckpointStore", ["FaultInjection", "Tensors", "WeightFiles", "Collectives"]),
        room("Telemetry", []),
        room(
            "Training",
            [
                "FaultInjection", "Tensors", "Kernels", "WeightFiles", "Layers", "SegmentAnything", "Adapters",
                "Imaging",
                "Datasets", "AdaptationMethods", "Performance", "Collectives", "CheckpointStore", "Telemetry",
                yams,
            ]),
        room(
            "Diagnosis",
            ["Kernels", "WeightFiles", "SegmentAnything", "Performance", "Collectives", "Telemetry", "Training"]),
        room(
            "Scaling",
            [
                "Kernels", "Layers", "SegmentAnything", "Adapters", "Datasets", "AdaptationMethods", "Collectives",
                "Telemetry", "Training",
            ]),
        .executableTarget(
            name: "kedge",
            dependencies: [
                "FaultInjection", "Kernels", "WeightFiles", "Layers", "SegmentAnything", "Adapters", "Imaging",
                "Datasets", "AdaptationMethods", "Performance", "Collectives", "CheckpointStore", "Telemetry",
                "Training", "Diagnosis", "Scaling", argumentParser,
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "mpi-conformance", dependencies: ["Collectives", "CollectivesConformance"],
            path: "Tests/MPIConformance", swiftSettings: swiftSettings),

        // Tests mirror the rooms.
        .target(
            name: "TestSupport", dependencies: ["Tensors", "WeightFiles"], path: "Tests/TestSupport",
            swiftSettings: swiftSettings),
        tests("FaultInjection", []),
        tests("Tensors", []),
        tests("Kernels", ["Tensors"]),
        tests("WeightFiles", ["Tensors"], resources: [.copy("Fixtures")]),
        tests("Layers", ["Tensors", "Kernels"]),
        tests(
            "SegmentAnything", ["Tensors", "Kernels", "Layers", "WeightFiles", "Imaging"],
            resources: [.copy("Fixtures")]),
        tests("Adapters", ["Tensors", "Kernels", "Layers", "WeightFiles", "SegmentAnything"]),
        tests("Imaging", [], resources: [.copy("Fixtures")]),
        tests("Datasets", ["Tensors", "Imaging"], resources: [.copy("Fixtures")]),
        tests(
            "AdaptationMethods",
            ["Tensors", "Kernels", "Layers", "WeightFiles", "SegmentAnything", "Adapters", "Datasets"],
            resources: [.copy("Fixtures")]),
        .target(
            name: "CollectivesConformance", dependencies: ["Collectives"], path: "Tests/CollectivesConformance",
            swiftSettings: swiftSettings),
        tests(
            "Performance",
            [
                "Tensors", "Kernels", "WeightFiles", "Layers", "SegmentAnything", "Adapters",
                "AdaptationMethods",
            ]),
        tests("Collectives", ["CollectivesConformance"]),
        tests("CheckpointStore", ["Collectives", "WeightFiles"]),
        tests("Telemetry", []),
        tests(
            "Training",
            [
                "Tensors", "Kernels", "Layers", "SegmentAnything", "Adapters", "Imaging",
                "Datasets", "AdaptationMethods", "Performance", "Collectives", "CheckpointStore", "Telemetry",
            ]),
        tests("Diagnosis", ["Kernels", "Performance", "Collectives", "Telemetry"]),
        tests("Scaling", ["SegmentAnything", "Collectives", "Telemetry", "Training"]),

        // Parsers on hostile input: inputs in the suites of the usual build, libFuzzer with sanitizers in scripts/fuzz.
        .target(
            name: "Fuzzing",
            dependencies: [
                "Tensors", "WeightFiles", "Layers", "SegmentAnything", "Adapters", "Imaging", "Datasets",
                "CheckpointStore",
                "Training",
                "CZlib",
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
